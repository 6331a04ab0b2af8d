"""Placing: the lines that made the ops of a new kind of graph, once the window of line detail is
over."""

from collections.abc import Sequence
from types import CodeType
from typing import TYPE_CHECKING, Any

from steplens.model.graph import GraphReading
from steplens.record.account import Account
from steplens.record.lines import TraceTaken, trace_lines

if TYPE_CHECKING:
    from steplens.record.detail import Detail

KIND = 32  # ops of a graph, from the loss down, by which it is known
KINDS = 64  # kinds of graphs, and sets of leaves, that are remembered
TIMES = 8  # the lines are followed again in one run
STEPS = 2  # and for the rest of this step and the whole of the next
READINGS = 16  # or for so many backward passes


class Placing:
    """A second phase of training makes graphs that the window has not seen: another loss, another
    head. The first reading of such a graph is put off: the lines alone are followed up to the end
    of the next step, and its graph is read with the lines that made it."""

    def __init__(self, detail: "Detail") -> None:
        self.detail = detail
        self.kinds: set[tuple[str, ...]] = set()
        self.leaves: set[tuple[int, ...]] = set()
        self.undo: Any = None
        self.times = 0
        self.readings = 0
        self.until = 0

    def wants(self, leaves: Sequence[Account]) -> bool:
        """Whether this graph is to be read although the cadence does not ask for it: its lines are
        being followed, or no backward before it has reached this set of leaves."""
        if self.undo is not None:
            return True
        if len(self.leaves) >= KINDS:
            return False
        known = len(self.leaves)
        self.leaves.add(tuple([account.number for account in leaves]))
        return len(self.leaves) > known

    def placed(self, reading: GraphReading) -> GraphReading | None:
        """The reading, or None where it is put off until its lines are known."""
        kind = tuple([op.name for op in reading.ops[:KIND]])
        if self.detail.open or self.undo is not None:
            self._remember(kind)
            self.readings += 1
            return reading
        if kind in self.kinds or len(self.kinds) >= KINDS or not self._begin():
            return reading
        return None

    def _remember(self, kind: tuple[str, ...]) -> None:
        if len(self.kinds) < KINDS:
            self.kinds.add(kind)

    def _begin(self) -> bool:
        """Follow the lines of the program again; whether that can be had."""
        recorder = self.detail.recorder
        if self.times >= TIMES or not self.detail.window.asked:
            return False
        self.times += 1
        self.readings, self.until = 0, recorder.step + STEPS
        frame = recorder.places.frame(2)
        try:
            self.undo = trace_lines(
                recorder.places.owns, _passed, frame, self._fault, self.detail.part
            )
        except TraceTaken:
            self.times = TIMES
            return False
        self.detail.unmarked()
        return True

    def step_ended(self) -> None:
        """Stop following once the step has passed for which it was begun."""
        if self.undo is not None and (
            self.detail.recorder.step >= self.until or self.readings >= READINGS
        ):
            self.finish()

    def finish(self) -> None:
        """Stop following."""
        undo, self.undo = self.undo, None
        if undo is not None:
            undo()

    def _fault(self, error: Exception) -> None:
        self.undo, self.times = None, TIMES
        self.detail.recorder.fault("lines", error)


def _passed(code: CodeType, line: int, run: int) -> None:
    """The end of a statement: its effect is not looked at here."""
