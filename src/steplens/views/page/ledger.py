"""Ledger: which backward passes each gradient holds at a stop, and which steps have used them."""

from steplens.model import event as ev

Held = tuple[tuple[int, tuple[int, ...]], ...]  # backward event, ordinals of the steps that used it


class Ledger:
    """Folds the kept events. Where some were not kept, what the next ones say is taken."""

    def __init__(self) -> None:
        self.held: dict[int, Held] = {}
        self.holdings: list[Held] = []
        self.numbers: dict[Held, int] = {}
        self.sets: list[tuple[int, ...]] = []
        self.set_numbers: dict[tuple[int, ...], int] = {}
        self.backwards: dict[int, ev.Backward] = {}
        self.steps: dict[int, int] = {}  # step event -> its ordinal

    def hear(self, event: ev.Event) -> None:
        """Take in one call."""
        if isinstance(event, ev.Backward):
            self.backwards[event.index] = event
            for tensor in event.leaves:
                self.held[tensor] = (*self.held.get(tensor, ()), (event.index, ()))
        elif isinstance(event, ev.Clear):
            for share in event.lost:
                for tensor in share.tensors:
                    self.held.pop(tensor, None)
        elif isinstance(event, ev.Step) and not event.skipped:
            self._used(event)

    def _used(self, event: ev.Step) -> None:
        ordinal = self.steps[event.index] = event.step + 1
        for share in event.uses:
            held = tuple(
                (c.backward, (*(self.steps.get(by, 0) for by in c.used_by), ordinal))
                for c in share.holds
            )
            for tensor in share.tensors:
                self.held[tensor] = held
        for tensor in event.idle:
            self.held.pop(tensor, None)

    def all(self) -> list[list[int]]:
        """What every gradient holds, as [set of tensors, holding]."""
        groups: dict[Held, list[int]] = {}
        for tensor, held in sorted(self.held.items()):
            groups.setdefault(held, []).append(tensor)
        return [[self._set(tuple(tensors)), self._number(h)] for h, tensors in groups.items()]

    def moved(self, since: dict[int, Held]) -> list[list[int]]:
        """What has changed, as [set of tensors, holding], -1 for nothing held."""
        groups: dict[int, list[int]] = {}
        for tensor in sorted({*since, *self.held}):
            now = self.held.get(tensor)
            if since.get(tensor) != now:
                groups.setdefault(-1 if now is None else self._number(now), []).append(tensor)
        return [[self._set(tuple(tensors)), number] for number, tensors in groups.items()]

    def _number(self, held: Held) -> int:
        if held not in self.numbers:
            self.numbers[held] = len(self.holdings)
            self.holdings.append(held)
        return self.numbers[held]

    def _set(self, tensors: tuple[int, ...]) -> int:
        if tensors not in self.set_numbers:
            self.set_numbers[tensors] = len(self.sets)
            self.sets.append(tensors)
        return self.set_numbers[tensors]
