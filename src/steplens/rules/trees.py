"""Trees: which tensors a module's tree holds, and which optimizers hold them."""

from collections.abc import Iterator

from steplens.model.roster import Roster


class Trees:
    """Looks modules up in the Roster, anew when modules or optimizers were added."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.size = -1
        self.children: dict[int, list[int]] = {}
        self.held: dict[int, frozenset[int]] = {}
        self.trained: dict[tuple[int, int, int], bool] = {}

    def tensors(self, module: int) -> frozenset[int]:
        """The parameters of a module and of all modules in it."""
        if self.size != len(self.roster.modules):
            self._read()
        found = self.held.get(module)
        if found is None:
            numbers: set[int] = set()
            waiting = [module]
            while waiting:
                number = waiting.pop()
                entry = self.roster.modules.get(number)
                numbers.update(entry.tensors if entry is not None else ())
                waiting += self.children.get(number, ())
            found = self.held[module] = frozenset(numbers)
        return found

    def trains(self, optimizer: int, module: int) -> bool:
        """Whether an optimizer holds a parameter of this module's tree."""
        entry = self.roster.optimizers.get(optimizer)
        if entry is None:
            return False
        tensors = self.tensors(module)
        key = (optimizer, module, len(entry.tensors))
        known = self.trained.get(key)
        if known is None:
            known = self.trained[key] = not tensors.isdisjoint(entry.tensors)
        return known

    def apart(self, one: int, other: int) -> bool:
        """Whether no optimizer holds parameters of both modules, or each has one besides that
        leaves the other alone (InfoGAN's third optimizer holds both)."""
        pairs = [(self.trains(o, one), self.trains(o, other)) for o in self.roster.optimizers]
        return (True, True) not in pairs or ((True, False) in pairs and (False, True) in pairs)

    def above(self, module: int) -> Iterator[int]:
        """The module itself and the modules that hold it, outwards."""
        while module in self.roster.modules:
            yield module
            module = self.roster.modules[module].parent

    def around(self, module: int) -> frozenset[int]:
        """The parameters of a module itself, or when it has none, of the module that holds it."""
        own = self.tensors(module)
        parent = self.roster.modules[module].parent
        return own if own or parent < 0 else self.tensors(parent)

    def names(self, modules: tuple[int, ...], most: int = 3) -> str:
        """Modules in a few words: their names with their types, and how many more."""
        shown = [
            f"`{self.roster.module_name(number)}` ({self.roster.modules[number].type})"
            for number in modules[:most]
        ]
        if len(modules) > most:
            shown.append(f"{len(modules) - most} more")
        return ", ".join(shown)

    def _read(self) -> None:
        modules = self.roster.modules
        self.size = len(modules)
        self.children.clear()
        self.held.clear()
        self.trained.clear()
        for number, entry in modules.items():
            if entry.parent >= 0:
                self.children.setdefault(entry.parent, []).append(number)
