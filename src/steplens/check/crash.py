"""How a program ended: its exit status, and its exception shown as Python would show it."""

import linecache
import os
import sys
import traceback as traceback_text
from pathlib import Path
from types import TracebackType

_OWN = str(Path(__file__).resolve().parent.parent) + "/"
INTERRUPTED = 130


def exit_status(error: BaseException | None) -> int:
    """The status python would end with after ``error`` left the program (None: nothing did)."""
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None:
        return 0
    return error.code & 0xFF if isinstance(error.code, int) else 1


def show(error: BaseException) -> None:
    """Write what python would write before it ends: ``sys.exit``'s text, or the traceback."""
    if isinstance(error, SystemExit):
        if error.code is not None and not isinstance(error.code, int):
            _say(str(error.code))
        return
    forget_our_frames(error)
    if sys.excepthook is sys.__excepthook__ and _from_memory(error.__traceback__):
        traceback_text.print_exception(error)  # Python's own hook looks for source in files alone
        return
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException as second:  # the user's own hook failed
        if isinstance(second, SystemExit):
            return
        _say("Error in sys.excepthook:")
        forget_our_frames(second)
        sys.__excepthook__(type(second), second, second.__traceback__)
        _say("\nOriginal exception was:")
        sys.__excepthook__(type(error), error, error.__traceback__)


def forget_our_frames(error: BaseException) -> None:
    """Take steplens out of the tracebacks of ``error`` and of its causes and contexts."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        now = waiting.pop()
        if now is None or id(now) in seen:
            continue
        seen.add(id(now))
        now.__traceback__ = _without_ours(now.__traceback__)
        waiting += [now.__cause__, now.__context__]
        if isinstance(now, BaseExceptionGroup):
            waiting += now.exceptions


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while traceback is not None:
        if not _ours(traceback):
            kept.append(traceback)
        traceback = traceback.tb_next
    following = None
    for entry in reversed(kept):
        entry.tb_next = following
        following = entry
    return following


def _from_memory(traceback: TracebackType | None) -> bool:
    """Whether a frame's source is known but stands in no file, as that of a notebook's cell."""
    while traceback is not None:
        name = traceback.tb_frame.f_code.co_filename
        if name in linecache.cache and not os.path.exists(name):
            return True
        traceback = traceback.tb_next
    return False


def _ours(entry: TracebackType) -> bool:
    name = entry.tb_frame.f_code.co_filename
    if name.startswith(_OWN):
        return True
    above = entry.tb_frame.f_back  # the import system, when it was we who called it
    return (
        name.startswith("<frozen ")
        and above is not None
        and above.f_code.co_filename.startswith(_OWN)
    )


def _say(text: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
