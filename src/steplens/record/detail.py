"""Detail: the window of the first steps, in which each line's effect on the state is kept."""

from bisect import bisect_right
from collections.abc import Callable
from threading import get_ident
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling

from steplens.model.event import Line
from steplens.model.report import Window
from steplens.model.site import Site
from steplens.model.state import since_nothing
from steplens.record.bypass import Bypasses
from steplens.record.counters import sequence_now
from steplens.record.lines import TraceTaken, trace_lines
from steplens.record.lull import Lull
from steplens.record.placing import Placing
from steplens.record.short import tracing
from steplens.record.silence import SILENCE, unheard
from steplens.record.snapshot import Camera
from steplens.record.stopwatch import CLOCK
from steplens.record.trail import Tracker

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST_SECONDS = 5.0  # the window ends once our own work in it has taken this long
FORKED = 0.1  # so long in a process that was forked: most of these never train
dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
MOST_MARKS = 20000  # lines remembered for the graph nodes they made


def captured() -> bool:
    """Whether torch calls now go elsewhere than to their computation: into a trace, an export, a
    compiler's graph or a mode of the program's that hears operators. Ours would go there too."""
    return tracing() is not None or is_compiling() or dispatch_modes() > 0


class Detail:
    """Follows the user's lines while the window is open: what each changed, and which graph nodes
    it made."""

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        self.window = Window()
        self.undo: Any = None
        self.began = 0.0  # what our own work had come to when the window opened
        self.marks: list[int] = []  # sequence number at which a line ended
        self.mark_sites: list[Site | None] = []
        self.current: Site | None = None
        self.camera = Camera(recorder.census, later=True)
        self.heard = -1
        self.bypasses = Bypasses()
        self.nodes = self.counted = 0  # sequence numbers after this part, and this statement
        self.looked = -1  # the step at which a line was last looked at
        self.closing = ""
        self.forked = False
        self.tracker = Tracker()
        self.placing = Placing(self)
        self.lull = Lull()
        self.watching: Callable[[CodeType, int], None] | None = None  # told of each line, briefly

    # -- the window ---------------------------------------------------------------------------

    def begin(self, steps: int, frame: FrameType | None) -> None:
        """Open the window for the first ``steps`` optimizer steps, unless a debugger or coverage
        holds the trace."""
        self.window.asked = self._steps() + steps
        self.began, self.closing = CLOCK.seconds, ""
        self.placing.finish()
        self.unmarked()
        self.lull.begin()
        if not steps:
            return
        self.tracker.trail.start = since_nothing(self.camera.take())
        self.tracker.begin()
        self._follow(frame)

    def _follow(self, frame: FrameType | None) -> None:
        owns = self.recorder.places.owns
        try:
            self.undo = trace_lines(owns, self.boundary, frame, self._fault, self.part)
        except TraceTaken:
            self.window.ended = "debugger"
        else:
            self.window.ended = "open"

    def finish(self, why: str) -> None:
        """Close the window; what it learnt of lines stays for the graphs still alive."""
        with self.recorder.guarded("lines"):
            self.placing.finish()
        undo, self.undo = self.undo, None
        if undo is not None:
            undo()
        elif not self.lull.resting:
            return
        self.window.ended = "rest" if self.lull.resting else why
        self.lull.resting = False
        self.window.kept = min(self.recorder.step, self.window.asked)
        self.count()
        self.camera.clear()
        self.tracker.close()

    @unheard
    def count(self) -> None:
        """Count what the Digests of the lines so far say, as soon as torch calls are computed."""
        if not captured():
            with self.recorder.guarded("lines"), self.recorder.quiet():
                self.camera.count()

    @property
    def open(self) -> bool:
        """Whether lines are being followed."""
        return self.undo is not None

    # -- while nothing trains -----------------------------------------------------------------

    def _rest(self) -> None:
        undo, self.undo = self.undo, None
        if undo is not None:
            undo()
        self.lull.rest()
        self.window.rested = True
        self.count()

    def stir(self) -> None:
        """A sign that the program is to train: a window that rests is open again."""
        lull = self.lull
        lull.sign()
        if not lull.resting or get_ident() != lull.thread or not self.recorder.active:
            return
        self.recorder.leave()
        self.began += lull.wake()
        with self.recorder.guarded("lines"):
            self._follow(self.recorder.places.frame(2))
            self.unmarked()
            self.counted = self.nodes = sequence_now()
            self._catch_up()

    def trains(self) -> None:
        """A gradient is made, or a step: the window does not rest until a step has ended."""
        if not self.lull.over:
            self.lull.over = True
            self.stir()

    def _catch_up(self) -> None:
        """Tell what has changed while the window rested: no line is known to have done it."""
        recorder = self.recorder
        with recorder.quiet():
            if recorder.census.stale_names and not self._building():
                recorder.census.enter_trees()
            changes = self.camera.look()
        if changes:
            recorder.emit(Line(recorder.index(), recorder.step, None, changes, 1))
        self.heard = recorder.next_index

    def step_ended(self) -> None:
        """Close the window after its last step, at the next line: that step's own line is still to
        be kept."""
        if self.undo is not None and self._steps() >= self.window.asked:
            self.closing = "steps"
        self.placing.step_ended()

    def _steps(self) -> int:
        """How many steps the program has done, or turns (``turns``) before its first."""
        return self.recorder.step or self.recorder.cadence.step

    def _fault(self, error: Exception) -> None:
        self.recorder.fault("lines", error)
        self.undo = None
        self.window.ended = "fault"

    # -- lines --------------------------------------------------------------------------------

    @unheard
    def part(self, code: CodeType, line: int) -> None:
        """A line has finished, which may be one of several of its statement."""
        if SILENCE.quiet or self.recorder.paused or captured():
            return
        if self.undo is None and self.placing.undo is None:
            return
        if self.watching is not None:
            self.watching(code, line)
        self.nodes = number = sequence_now()
        if number > (self.marks[-1] if self.marks else 0) and len(self.marks) < MOST_MARKS:
            self.marks.append(number)
            self.mark_sites.append(self.recorder.places.line(code, line))

    def unmarked(self) -> None:
        """The graph nodes made since the last line that was followed are no line's."""
        number = sequence_now()
        if self.marks and number > self.marks[-1] and len(self.marks) < MOST_MARKS:
            self.marks.append(number)
            self.mark_sites.append(None)

    @unheard
    def boundary(self, code: CodeType, line: int, run: int) -> bool | None:
        """A statement has finished, or is suspended by a call into the user's code; ``line`` is
        its first. False: no Event came of it, no graph node and no change."""
        recorder = self.recorder
        if self.undo is None or SILENCE.quiet or recorder.paused or captured():
            return None
        underway, idle = recorder.underway, self.nodes == self.counted
        self.counted = self.nodes
        with underway.still:
            if underway.elsewhere() or self._building():
                idle = False
            elif (past := self._past(code, line)) or self._due():
                self._look(code, line, run, past)
                idle = False
        known = self.tracker.knows(code, line)
        site = None if known else recorder.places.line(code, line)
        self.tracker.passed(code, line, run, recorder.next_index - 1, site)
        if CLOCK.seconds - self.began > (FORKED if self.forked else MOST_SECONDS):
            self.finish("cost")
        elif self.closing:
            self.finish(self.closing)
        elif self.lull.due():
            self._rest()
        return not idle

    def _past(self, code: CodeType, line: int) -> bool:
        """Whether the line may have written past the counters, in a model that is small."""
        return self.bypasses.at(code, line) and self.camera.small()

    def _due(self) -> bool:
        """Whether an Event has come since the last look, or anything may have changed."""
        if self.recorder.next_index != self.heard:
            return True
        with self.recorder.quiet():
            return self.camera.moved()

    def _building(self) -> bool:
        """Whether a module is under construction: its tensors are the constructor call's, and have
        no names yet."""
        if not self.recorder.census.stale_names:
            return False
        frame = self.recorder.places.frame(2)
        while frame is not None:
            if frame.f_code.co_name == "__init__":
                return True
            frame = frame.f_back
        return False

    def _look(self, code: CodeType, line: int, run: int, whole: bool) -> None:
        recorder = self.recorder
        self.current = site = recorder.places.line(code, line)
        with recorder.quiet():
            if recorder.census.stale_names:
                recorder.census.enter_trees()
            if recorder.local.stepping < 0:
                recorder.ledger.look(
                    list(recorder.census.accounts.values()), recorder.local.backward
                )
            changes = self.camera.look(recorder.step != self.looked, whole)
            self.looked = recorder.step
        self.current = None
        self.heard = recorder.next_index
        if changes:
            recorder.emit(Line(recorder.index(), recorder.step, site, changes, run))
            self.heard = recorder.next_index

    def last_clear(self) -> Site | None:
        """The line that has just cleared a gradient by hand, if the window saw it."""
        return self.current

    def site_of(self, number: int) -> Site | None:
        """The user's line that made the graph node of this sequence number, where the window saw
        it."""
        if not self.marks or number < 0:
            return None
        position = bisect_right(self.marks, number)
        if position < len(self.marks):
            return self.mark_sites[position]
        return None
