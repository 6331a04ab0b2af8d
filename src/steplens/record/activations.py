"""Activations: the user's running frames, and the line that each of them is at."""

import itertools
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from steplens.record.statements import Statements

Boundary = Callable[[CodeType, int, int], bool | None]
Part = Callable[[CodeType, int], None]

IDLE = 1000  # times that code ran and nothing came of it, after which it is not followed


class Activation:
    """One running frame of the user's code and the line it is at (0: none started yet).

    ``line`` is the first line of the statement that runs, ``at`` the one of its lines.
    """

    __slots__ = ("at", "frame", "line", "run", "since", "trace")

    def __init__(self, frame: FrameType, since: int) -> None:
        self.frame = frame
        self.since = since  # what had come before it
        self.line = self.at = self.run = 0
        self.trace: Any = None  # what stood in f_trace before


class Activations:
    """The user's running frames, outermost first, and how often each of their lines has started.

    A ``boundary`` that returns False says that nothing came of the line. Code that has run
    ``IDLE`` times, each time with nothing (it prepares data, character by character), counts as
    foreign from then on: its lines are its caller's.

    Code objects are told apart by identity: equality ignores the file name, and hashing one is
    slow. A frame is held only while it runs, so that nothing of the user's lives longer than it
    would.
    """

    def __init__(
        self,
        is_user: Callable[[CodeType], bool],
        boundary: Boundary,
        part: Part | None = None,
    ) -> None:
        self.foreign: set[int] = set()
        self.own: dict[int, CodeType] = {}
        self.stack: list[Activation] = []
        self._is_user = is_user
        self._boundary = boundary
        self._part = part
        self._statements = Statements()
        self._kept: list[CodeType] = []  # an id is only a name while its object lives
        self._starts: dict[tuple[int, int], int] = {}
        self._entries: dict[tuple[int, int], int] = {}  # instruction at which a statement started
        self._spans: dict[tuple[int, int], tuple[int, int]] = {}
        self._came = 0  # boundaries at which something came
        self._idle: dict[int, int] = {}  # code that something came of stays at -1
        self.closed = False

    def close(self) -> None:
        """Let go of all frames: the tracing has ended, perhaps within a ``boundary``."""
        self.closed = True
        self.stack.clear()

    def user(self, code: CodeType) -> bool:
        """Whether the code is the user's; asked once per code object."""
        if id(code) in self.own:
            return True
        if id(code) in self.foreign:
            return False
        if self._is_user(code):
            self.own[id(code)] = code
            return True
        self.foreign.add(id(code))
        self._kept.append(code)
        return False

    def running(self, start: FrameType | None) -> None:
        """Take in the user's frames that already run, from ``start`` up."""
        frames: list[FrameType] = []
        while start is not None:
            if self.user(start.f_code):
                frames.append(start)
            start = start.f_back
        for frame in reversed(frames):
            self._push(frame, resumed=True)

    def entered(self, frame: FrameType, resumed: bool) -> None:
        """A frame starts, or goes on where it had yielded: the line that called it is suspended."""
        self._bound()
        if not self.closed:
            self._push(frame, resumed)

    def line(self, frame: FrameType, line: int) -> None:
        """A line starts: the one before it in this frame has finished, or goes on here."""
        code, first = frame.f_code, self._statements.first(frame.f_code, line)
        if self._inside(frame, line, first):
            return
        self._bound()
        if self.closed:
            return
        now = (
            self.stack[-1] if self.stack and self.stack[-1].frame is frame else self._settle(frame)
        )
        if now.line <= first or not self._goes_on(frame, first, now.line):
            now.run = self._count(code, first)
        else:
            now.run = self._starts.get((id(code), first), 1)
        now.line, now.at = first, line
        self._entries[id(code), first] = frame.f_lasti

    def left(self, frame: FrameType) -> None:
        """A frame returns, yields or raises: its line has finished, its caller's line goes on."""
        if any(entry.frame is frame for entry in reversed(self.stack)):
            self._bound()
            if not self.closed:
                self._settle(frame)
                self._weigh(self.stack.pop())

    def _inside(self, frame: FrameType, line: int, first: int) -> bool:
        """Whether ``line`` is one more of the statement that runs in ``frame``. One that starts
        again, in a loop, goes back to where it had started."""
        now = self.stack[-1] if self.stack else None
        if now is None or now.frame is not frame or now.line != first or now.at == first == line:
            return False
        if frame.f_lasti <= self._entries.get((id(frame.f_code), first), -1):
            return False
        if self._part is not None:
            self._part(frame.f_code, now.at)
        now.at = line
        return True

    def _bound(self) -> None:
        if self.stack and self.stack[-1].line:
            now = self.stack[-1]
            if self._part is not None:
                self._part(now.frame.f_code, now.at)
            if self._boundary(now.frame.f_code, now.line, now.run) is not False:
                self._came += 1

    def _weigh(self, ended: Activation) -> None:
        """Let go of code of which nothing ever comes."""
        code = ended.frame.f_code
        times = self._idle.get(id(code), 0)
        if times < 0:
            return
        times = self._idle[id(code)] = times + 1 if ended.since == self._came else -1
        if times >= IDLE and all(entry.frame.f_code is not code for entry in self.stack):
            self._kept.append(self.own.pop(id(code)))
            self.foreign.add(id(code))

    def _push(self, frame: FrameType, resumed: bool) -> None:
        entry = Activation(frame, self._came)
        if resumed:
            entry.at = frame.f_lineno or 0
            entry.line = self._statements.first(frame.f_code, entry.at)
            key = (id(frame.f_code), entry.line)
            entry.run = self._starts.setdefault(key, 1)
            self._entries.setdefault(key, frame.f_lasti)
        self.stack.append(entry)

    def _settle(self, frame: FrameType) -> Activation:
        """Make ``frame`` the innermost: frames above it ended unheard (a greenlet was switched)."""
        for depth in range(len(self.stack) - 1, -1, -1):
            if self.stack[depth].frame is frame:
                del self.stack[depth + 1 :]
                return self.stack[depth]
        self._push(frame, resumed=False)
        return self.stack[-1]

    def _count(self, code: CodeType, line: int) -> int:
        key = (id(code), line)
        self._starts[key] = count = self._starts.get(key, 0) + 1
        return count

    def _goes_on(self, frame: FrameType, line: int, before: int) -> bool:
        """Whether ``line`` began earlier: it opens a statement that spreads over ``before``."""
        key = (id(frame.f_code), frame.f_lasti)
        span = self._spans.get(key)
        if span is None:
            positions = itertools.islice(frame.f_code.co_positions(), frame.f_lasti // 2, None)
            first, last, _, _ = next(positions, (None, None, None, None))
            span = self._spans[key] = (first or 0, last or 0)
        return self._statements.first(frame.f_code, span[0]) == line and before <= span[1]
