"""Lines: hears each line of the user's code start and finish, in the thread that asks."""

import inspect
import opcode
import os
import sys
import weakref
from collections.abc import Callable
from threading import get_ident
from types import CodeType, FrameType
from typing import Any

from steplens.record.activations import Activations, Boundary, Part
from steplens.record.resting import WINDOW
from steplens.record.uncompiled import uncompiled

ROOM = 100  # frames that our own work may need


class TraceTaken(Exception):
    """A debugger, coverage or another tool holds the trace; the text says which."""


def trace_lines(
    is_user: Callable[[CodeType], bool],
    boundary: Boundary,
    start: FrameType | None,
    fault: Callable[[Exception], None] | None = None,
    part: Part | None = None,
) -> Callable[[], None]:
    """Hear the calling thread's lines until the returned function is called, from anywhere.

    ``boundary(code, line, run)`` is called whenever the line that last started in the innermost
    user frame has finished or is suspended: what changed since the boundary before it belongs to
    that line. ``run`` counts how often the line had started. A statement that spreads over several
    lines is one line, its first, where its source can be read, and else starts each of them once;
    ``part(code, line)`` is called for each of its lines, before ``boundary``. Where this returns
    False, nothing came of the line; code of which nothing ever comes is soon let go. Frames above
    ``start`` that already run are heard as well. Code is asked about once (``is_user``). A fault in
    ``boundary`` or ``part`` ends the tracing and goes to ``fault``, never to the user's program.
    Raises TraceTaken instead of displacing whoever holds the trace.
    """
    if sys.gettrace() is not None or WINDOW.held():
        raise TraceTaken("a debugger or coverage holds the trace function")
    if sys.version_info >= (3, 12):
        trace = Monitored(Activations(is_user, boundary, part), start, fault)
    else:
        trace = Traced(Activations(is_user, boundary, part), start, fault)
    _live.add(trace)
    return trace.remove


def _forked() -> None:
    """A forked worker is not part of the run: its lines are not heard."""
    for trace in list(_live):
        trace.remove()


_live: weakref.WeakSet[Any] = weakref.WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Traced:
    """Hears lines through sys.settrace, which is one thread's own."""

    def __init__(
        self,
        activations: Activations,
        start: FrameType | None,
        fault: Callable[[Exception], None] | None,
    ) -> None:
        self._activations = activations
        self._foreign = activations.foreign
        self._fault = fault
        self._on = True
        self._global = self._called  # one object each: f_trace is compared by identity
        self._local = self._heard
        activations.running(start)
        for entry in activations.stack:
            entry.trace = entry.frame.f_trace
            entry.frame.f_trace = self._local
        WINDOW.open(self._global)
        sys.settrace(self._global)

    def remove(self) -> None:
        """Undo all: the trace function, and f_trace of the frames that run. Twice is once."""
        if not self._on:
            return
        self._on = False
        if WINDOW.trace is self._global:
            WINDOW.trace = None
        if sys.gettrace() is self._global:
            sys.settrace(None)
        for entry in self._activations.stack:
            if entry.frame.f_trace is self._local:
                entry.frame.f_trace = entry.trace
        self._activations.close()

    def _called(self, frame: FrameType, event: str, arg: object) -> Any:
        if id(frame.f_code) in self._foreign or not self._on:
            return None
        try:
            if event != "call" or not self._activations.user(frame.f_code):
                return None
            self._activations.entered(frame, resumed=_yielded(frame))
            if self._on:
                self._activations.stack[-1].trace = frame.f_trace
                return self._local
        except Exception as error:
            if not _exhausted(error):
                self._failed(error)
        except BaseException:  # an interrupt of the user's, delivered while we worked
            self.remove()
            raise
        return None

    def _heard(self, frame: FrameType, event: str, arg: object) -> Any:
        if not self._on:
            frame.f_trace = None
            return None
        try:
            if event == "line":
                self._activations.line(frame, frame.f_lineno or 0)
            elif event == "return":
                entry = self._activations.stack[-1] if self._activations.stack else None
                self._activations.left(frame)
                if (
                    self._on
                ):  # a suspended generator must not be found later with our function on it
                    frame.f_trace = (
                        entry.trace if entry is not None and entry.frame is frame else None
                    )
                return None
            return self._local if self._on else None
        except Exception as error:
            if _exhausted(error):
                return self._local
            self._failed(error)
        except BaseException:
            self.remove()
            raise
        return None

    def _failed(self, error: Exception) -> None:
        self.remove()
        if self._fault is not None:
            self._fault(error)


uncompiled(Traced, "_called", "_heard")


def _exhausted(error: Exception) -> bool:
    """Whether the program itself has recursed as deep as it may: no room was left for us."""
    if not isinstance(error, RecursionError):
        return False
    depth, frame = 0, sys._getframe(1)
    while frame.f_back is not None:
        depth, frame = depth + 1, frame.f_back
    return depth > sys.getrecursionlimit() - ROOM


def _yielded(frame: FrameType) -> bool:
    """Whether a frame that is entered goes on after a yield or await, rather than starts."""
    if not frame.f_code.co_flags & _SUSPENDS or frame.f_lasti < 0:
        return False
    operation, argument = frame.f_code.co_code[frame.f_lasti : frame.f_lasti + 2]
    return operation == _YIELD or (operation == _RESUME and argument != 0)


_SUSPENDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_YIELD, _RESUME = opcode.opmap["YIELD_VALUE"], opcode.opmap["RESUME"]


if sys.version_info >= (3, 12):
    _EVENTS = sys.monitoring.events
    _FRAME = (
        _EVENTS.LINE | _EVENTS.PY_START | _EVENTS.PY_RESUME | _EVENTS.PY_RETURN | _EVENTS.PY_YIELD
    )
    _EVERYWHERE = _EVENTS.PY_START | _EVENTS.PY_RESUME | _EVENTS.PY_THROW | _EVENTS.PY_UNWIND

    class Monitored:
        """Hears lines through sys.monitoring: foreign code is asked about once, then is free."""

        def __init__(
            self,
            activations: Activations,
            start: FrameType | None,
            fault: Callable[[Exception], None] | None,
        ) -> None:
            self._activations = activations
            self._fault = fault
            self._thread = get_ident()
            self._tool = _free_tool()
            self._on = True
            self._watched: set[int] = set()
            activations.running(start)  # it asks about the user's code, and may fail
            monitoring = sys.monitoring
            monitoring.use_tool_id(self._tool, "steplens")
            try:
                for event, hear in self._callbacks().items():
                    monitoring.register_callback(self._tool, event, hear)
                for entry in activations.stack:
                    self._watch(entry.frame.f_code)
                monitoring.set_events(self._tool, _EVERYWHERE)
                monitoring.restart_events()  # an earlier window may have switched code off
            except BaseException:
                self.remove()
                raise

        def remove(self) -> None:
            """Undo all: events, callbacks and the tool's number. Twice is once."""
            if not self._on:
                return
            self._on = False
            self._activations.close()
            sys.monitoring.set_events(self._tool, 0)
            for code in self._activations.own.values():
                sys.monitoring.set_local_events(self._tool, code, 0)
            for event in self._callbacks():
                sys.monitoring.register_callback(self._tool, event, None)
            sys.monitoring.free_tool_id(self._tool)

        def _callbacks(self) -> dict[int, Callable[..., object]]:
            return {
                _EVENTS.PY_START: self._started,
                _EVENTS.PY_RESUME: self._resumed,
                _EVENTS.PY_THROW: self._thrown,
                _EVENTS.LINE: self._lined,
                _EVENTS.PY_RETURN: self._left,
                _EVENTS.PY_YIELD: self._left,
                _EVENTS.PY_UNWIND: self._left,
            }

        def _started(self, code: CodeType, offset: int) -> object:
            return self._entered(code, sys._getframe(_BELOW), resumed=False)

        def _resumed(self, code: CodeType, offset: int) -> object:
            return self._entered(code, sys._getframe(_BELOW), resumed=True)

        def _thrown(self, code: CodeType, offset: int, error: BaseException) -> object:
            self._entered(code, sys._getframe(_BELOW), resumed=True)
            return None  # this event cannot be disabled

        def _entered(self, code: CodeType, frame: FrameType, resumed: bool) -> object:
            if id(code) in self._activations.foreign:
                return sys.monitoring.DISABLE
            try:
                if not self._activations.user(code):
                    return sys.monitoring.DISABLE
                if self._on and get_ident() == self._thread:
                    self._watch(code)
                    self._activations.entered(frame, resumed)
            except Exception as error:
                self._failed(error)
            return None

        def _lined(self, code: CodeType, line: int) -> object:
            if self._on and get_ident() == self._thread:
                try:
                    self._activations.line(sys._getframe(_BELOW), line)
                except Exception as error:
                    self._failed(error)
            return None

        def _left(self, code: CodeType, offset: int, value: object) -> object:
            if self._on and id(code) in self._activations.own and get_ident() == self._thread:
                try:
                    self._activations.left(sys._getframe(_BELOW))
                    if id(code) in self._activations.foreign:  # nothing ever came of it
                        sys.monitoring.set_local_events(self._tool, code, 0)
                except Exception as error:
                    self._failed(error)
            return None

        def _watch(self, code: CodeType) -> None:
            if id(code) not in self._watched:
                self._watched.add(id(code))
                sys.monitoring.set_local_events(self._tool, code, _FRAME)

        def _failed(self, error: Exception) -> None:
            self.remove()
            if self._fault is not None:
                self._fault(error)

    # where the user's frame lies, seen from a callback
    _BELOW = 1 + uncompiled(Monitored, "_started", "_resumed", "_thrown", "_lined", "_left")

    def _free_tool() -> int:
        monitoring = sys.monitoring
        for tool in (monitoring.DEBUGGER_ID, monitoring.COVERAGE_ID):
            if (name := monitoring.get_tool(tool)) is not None:
                raise TraceTaken(f"`{name}` is monitoring this process")
        for tool in (4, 3):  # numbers without a meaning of their own
            if monitoring.get_tool(tool) is None:
                return tool
        raise TraceTaken("every free tool number of sys.monitoring is in use")
