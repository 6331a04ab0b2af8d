"""Losses: what each line's backward passes started from."""

import math

from steplens.model.chronicle import Loss
from steplens.model.event import Backward
from steplens.model.graph import GraphReading
from steplens.model.repeats import Weighed
from steplens.model.site import Site

LINES = 16  # lines told apart
OPS = 4  # operations named, from the loss backwards


class Losses(Weighed):
    """A Loss by the line that called backward; what is beyond the first lines counts as one."""

    HEARS = ("backward",)

    def __init__(self) -> None:
        self.lines: dict[Site | None, Loss] = {}
        self.backwards = 0

    def backward(self, event: Backward) -> None:
        """Count it, with the value where it was looked at."""
        self.backwards += self.weight
        loss = self.lines.get(event.site)
        if loss is None:
            site = event.site if len(self.lines) < LINES else None
            loss = self.lines.setdefault(site, Loss(site))
        loss.times += self.weight
        loss.leaves, loss.leaf = event.leaves, event.root_leaf
        if event.graph is not None and event.graph.ops:
            loss.ops, loss.at = made_by(event.graph)
            loss.nodes = event.graph.nodes
        if event.loss is None:
            return
        finite = math.isfinite(event.loss)
        value = event.loss if finite else None
        if not loss.looks:
            loss.first, loss.first_step = value, event.step + 1
        loss.looks += self.weight
        loss.bad += not finite
        loss.last, loss.last_step = value, event.step + 1


def made_by(graph: GraphReading) -> tuple[tuple[str, ...], Site | None]:
    """The names of the operations that made the loss, the last one first, and its line."""
    names: list[str] = []
    place = 0
    while 0 <= place < len(graph.ops) and len(names) < OPS:
        op = graph.ops[place]
        names.append(op.name)
        recorded = [source for source in op.inputs if source >= 0]
        if len(recorded) != 1:
            break
        place = recorded[0]
    return tuple(names), graph.ops[0].site
