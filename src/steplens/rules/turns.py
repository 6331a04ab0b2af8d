"""Turns: whether a frozen block stays frozen, or is trained in turn with others (as in GANs)."""

from steplens.model.event import Made, Step
from steplens.rules.trees import Trees

SURE = 2  # training steps beside the block, none of which trained it
ALTERNATING = 12  # the same, for a block that the optimizers at work have trained before


class Turns:
    """Counts the training steps in which frozen norms moved, until a step trains their block."""

    def __init__(self, trees: Trees) -> None:
        self.trees = trees
        self.counts: dict[int, int] = {}  # norm -> steps in which it moved
        self.needed: dict[int, int] = {}  # norm -> how many of them make it sure
        self.taken: set[int] = set()  # norms of blocks that were trained in turn
        self.births: dict[int, int] = {}  # optimizer -> index of its Made event
        self.firsts: dict[int, Step] = {}  # each optimizer's first step that used anything
        self.latest: dict[int, Step] = {}

    def made(self, event: Made) -> None:
        """What an optimizer that was made does is another phase."""
        if event.what == "optimizer":
            self.births[event.number] = event.index

    def settle(self, event: Step) -> None:
        """Drop the norms whose block this step trains."""
        used = _tensors(event)
        for norm in [norm for norm in self.counts if not used.isdisjoint(self.block(norm))]:
            del self.counts[norm]
            self.taken.add(norm)

    def used(self, event: Step) -> None:
        """Remember what this optimizer trains."""
        self.firsts.setdefault(event.optimizer, event)
        self.latest[event.optimizer] = event

    def sure(self, norm: int, event: Step, weight: int) -> bool:
        """Count a step in which this norm moved ``weight`` times; whether it is sure by now."""
        if norm in self.taken:
            return False
        if norm not in self.needed:
            self.needed[norm] = self._needs(norm, event)
        self.counts[norm] = self.counts.get(norm, 0) + weight
        return self.counts[norm] >= self.needed[norm]

    def block(self, norm: int) -> frozenset[int]:
        """The parameters of the norm, or of what holds it when it has none."""
        return self.trees.around(norm)

    def _needs(self, norm: int, event: Step) -> int:
        block = self.block(norm)
        steps = (*self.firsts.values(), *self.latest.values())
        last = max((s.index for s in steps if not block.isdisjoint(_tensors(s))), default=-1)
        new = self.births.get(event.optimizer, -1) > last
        return SURE if last < 0 or new else ALTERNATING


def _tensors(event: Step) -> set[int]:
    return {tensor for share in event.uses for tensor in share.tensors}
