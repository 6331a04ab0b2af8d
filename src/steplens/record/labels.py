"""Labels: the names of outermost modules, those that share one told apart by a number; and how a
module below another is called."""

from collections.abc import Callable

# torch's wrappers around one module, and the attribute that holds it
WRAPPERS = {
    "DistributedDataParallel": "module",
    "DataParallel": "module",
    "FullyShardedDataParallel": "_fsdp_wrapped_module",
    "CheckpointWrapper": "_checkpoint_wrapped_module",
    "OptimizedModule": "_orig_mod",
}


class Labels:
    """Gives ``model`` to the first module of that name, ``model#2`` to the second."""

    def __init__(self) -> None:
        self.holders: dict[str, dict[int, int]] = {}  # name: the module's number, by its place

    def take(self, name: str, number: int) -> str:
        """The label of the module of this number: the one it has, else the first that is free."""
        used = self.holders.setdefault(name, {})
        free = (place for place in range(1, len(used) + 2) if used.get(place, number) == number)
        place = next((place for place, holder in used.items() if holder == number), 0) or next(free)
        used[place] = number
        return name if place == 1 else f"{name}#{place}"

    def give_back(self, label: str, number: int) -> None:
        """The module of this number is called by its label no longer."""
        used = self.holders.get(label.partition("#")[0], {})
        for place in [place for place, holder in used.items() if holder == number]:
            del used[place]

    def keep(self, alive: Callable[[int], bool]) -> None:
        """Let go of the labels of the modules that are not ``alive``."""
        for used in self.holders.values():
            for place in [place for place, number in used.items() if not alive(number)]:
                del used[place]


def known_as(above: str, last: str, holder: str) -> str:
    """The name of a module below ``above``: a wrapper's one child goes by the wrapper's name."""
    if WRAPPERS.get(holder) == last:
        return above
    return f"{above}.{last}" if above else last
