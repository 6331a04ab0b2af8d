"""Guests: models in eval mode, or given their weights by others, that ran with gradient recording
on in a training step, and whose gradients no step uses."""

from typing import NamedTuple

from steplens.model.event import Backward, Forward, Load, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules.trees import Trees

SURE = 3  # steps that left its gradients unused
KEPT = 64  # backward passes remembered


class Guest(NamedTuple):
    """Such a forward, how many steps have left the gradients of its model unused, and how many
    tensors got one."""

    forward: Forward
    times: int
    tensors: int


class Guests:
    """A model is a guest if it was given no output of another forward (the gradient may have to
    pass through it), and the backward reached nothing but parameters (no image is optimised)."""

    def __init__(self, roster: Roster, trees: Trees) -> None:
        self.roster = roster
        self.trees = trees
        self.reached = Newest[int, list[tuple[Forward, frozenset[int]]]](KEPT)  # by Backward event
        self.times: dict[int, int] = {}  # module -> steps
        self.loaded: set[int] = set()  # modules given the weights of others

    def load(self, event: Load) -> None:
        """A module is given weights."""
        if event.what == "module":
            self.loaded.add(event.owner)

    def target(self, module: int) -> bool:
        """Whether a model is given its weights and no optimizer holds any of it."""
        optimizers = self.roster.optimizers
        return module in self.loaded and not any(self.trees.trains(n, module) for n in optimizers)

    def backward(self, event: Backward, forwards: list[Forward]) -> None:
        """A backward went through these forwards in eval mode."""
        if any(self.roster.tensors[leaf].role == "leaf" for leaf in event.leaves):
            return
        leaves = frozenset(event.leaves)
        found = [
            (forward, leaves & self.trees.tensors(forward.module))
            for forward in forwards
            if not forward.fed_by
        ]
        found = [(forward, tensors) for forward, tensors in found if tensors]
        if found:
            self.reached[event.index] = found

    def step(self, event: Step) -> list[Guest]:
        """The guests of the backward passes that this step used, once it is sure of them."""
        if not self.reached:
            return []
        used = {tensor for share in event.uses for tensor in share.tensors}
        passes = {c.backward for share in event.uses for c in share.holds}
        found: list[Guest] = []
        for backward in passes & self.reached.keys():
            for forward, tensors in self.reached.pop(backward):
                if not used.isdisjoint(tensors):
                    self.times.pop(forward.module, None)
                    continue
                times = self.times[forward.module] = self.times.get(forward.module, 0) + 1
                if times >= SURE:
                    found.append(Guest(forward, times, len(tensors)))
        return found
