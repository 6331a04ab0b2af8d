"""Cycled: a first pass over a loader that `itertools.cycle` keeps and gives again, a note of
SL506."""

from steplens.model.event import Step
from steplens.rules.base import Cases, because, seen
from steplens.rules.passes import Pass

STEPS = 2  # after the end of a pass that is gone through again


class Cycled:
    """The passes that ended in a cycle, until enough steps have been made with their batches."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.ended: dict[int, tuple[Pass, int]] = {}  # loader -> its pass, steps made with it

    def end(self, loader: int, current: Pass) -> None:
        """The first pass over this loader is over; what comes now are the batches kept of it."""
        self.ended[loader] = (current, current.steps)

    def step(self, event: Step) -> None:
        """A step, which the passes have counted."""
        for loader, (current, steps) in list(self.ended.items()):
            if current.steps > steps + STEPS:
                del self.ended[loader]
                self._tell(event, current, steps)

    def _tell(self, event: Step, current: Pass, steps: int) -> None:
        self.cases.open(
            ("cycled", current.key),
            event.step + 1,
            current.site,
            f"`itertools.cycle` gives the {current.batches} batches of its first pass over a "
            "shuffling loader again, in their order",
            label="the loader is read once, and its batches are kept",
            because=because("its loader was made here", current.made),
            evidence=(
                seen("steps in the first pass", steps),
                seen("steps since, with no new pass", current.steps - steps),
            ),
            help="begin a new pass each time: `while True: yield from loader`",
            severity="note",
            event=event.index,
        )
