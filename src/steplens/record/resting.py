"""Resting: work of ours inside a call of the program's runs without the window's trace function.

Under ``sys.settrace`` the interpreter goes through every instruction the slow way and calls the
trace function at every call, ours included: twice the time, or more.
"""

import sys
from collections.abc import Callable
from threading import get_ident
from typing import Any


class Window:
    """``trace`` is the trace function of the open window, None where there is none or where lines
    are heard in another way."""

    trace: Callable[..., Any] | None = None
    thread = 0  # whose trace function it is

    def open(self, trace: Callable[..., Any]) -> None:
        """This thread's lines are heard by this function."""
        self.trace, self.thread = trace, get_ident()

    def held(self) -> bool:
        """Whether this thread's lines are heard already, though they rest."""
        return self.trace is not None and self.thread == get_ident()


WINDOW = Window()


def rest() -> Callable[..., Any] | None:
    """Stop hearing this thread's lines until ``wake`` is given what this returns. Another tool's
    trace function stays as it is."""
    trace = WINDOW.trace
    if trace is None or sys.gettrace() is not trace:
        return None
    sys.settrace(None)
    return trace


def wake(trace: Callable[..., Any] | None) -> None:
    """Hear lines again, unless the window has closed meanwhile."""
    if trace is not None and WINDOW.trace is trace:
        sys.settrace(trace)
