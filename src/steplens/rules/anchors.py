"""Anchors: penalties on the way a parameter has gone from where it stood, which is always 0."""

from steplens.model.event import Backward, Step
from steplens.model.graph import Op
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, seen

LOOKS = 3  # at the difference, with steps of the parameter between


class Anchors:
    """Follows the differences between a parameter and something without a gradient, whose square
    or size is a part of the loss, or itself, from the first look on. One that is 0 in every element
    at each look, though steps have used the parameter's gradient, compares it with itself."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.looks: dict[int, int] = {}  # parameter -> looks, each after another step
        self.stepped: dict[int, int] = {}  # parameter -> steps since its last look
        self.apart: set[int] = set()  # parameters that have been seen apart from their anchor

    def backward(self, event: Backward) -> None:
        """Look at the differences of one loss."""
        graph = event.graph
        found: list[int] = []
        line: Op | None = None
        for place in graph.apart if graph is not None else ():
            op = graph.ops[place] if graph is not None else None
            if op is None or len({*op.leaves}) != 1:
                continue
            tensor = op.leaves[0]
            if graph is not None and place not in graph.alike:
                self.apart.add(tensor)
                self.looks.pop(tensor, None)
            elif tensor not in self.apart and self.stepped.get(tensor, 1):
                self.stepped[tensor] = 0
                self.looks[tensor] = self.looks.get(tensor, 0) + 1
                if self.looks[tensor] >= LOOKS:
                    found.append(tensor)
                    line = line or op
        if found and not self.cases.again("anchor", event.step + 1):
            self._open(event, found, line)

    def step(self, event: Step) -> None:
        """A step used the gradients of some of them."""
        for share in event.uses if self.looks else ():
            for tensor in share.tensors:
                if tensor in self.looks and any(event.lrs):
                    self.stepped[tensor] = self.stepped.get(tensor, 0) + 1

    def _open(self, event: Backward, found: list[int], line: Op | None) -> None:
        at = line.site if line is not None else None
        itself = line is not None and len(line.leaves) > 1
        self.cases.open(
            "anchor",
            event.step + 1,
            at or event.site,
            f"the difference of {named(self.roster, found)} from "
            + ("itself is taken" if itself else "what it is held to is exactly 0 at every look")
            + ", though steps have moved it",
            label="this penalty does nothing",
            because=because("this backward went through it", event.site if at else None),
            evidence=(
                seen("looks, with steps between", LOOKS),
                seen("largest difference", 0.0, "above 0"),
            ),
            help="keep copies to compare with: `p.detach().clone()`",
            severity="warning" if itself else "note",
            event=event.index,
            tensors=found,
        )
