"""Counting: the wrapper of a call in which other things happen, a pass through a graph: compared
while rounds are counted, else told in full."""

import functools
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from torch.compiler import is_dynamo_compiling

from steplens.record.rounds import Call
from steplens.record.wrap import note

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.steady import Steady


def counting(
    recorder: "Recorder",
    probe: str,
    original: Callable[..., Any],
    full: Callable[..., Any],
    begins: Callable[["Steady", Call, Any, Any], bool],
    ended: Callable[["Steady", Call], bool],
    after: Callable[[Any, Any], None],
    failed: Callable[[Any, Any, BaseException], None],
) -> Callable[..., Any]:
    """A wrapper around a function.

    ``begins`` says whether the call is the one due, ``ended`` whether it did what it did before;
    where the counting has ended meanwhile, ``after(token, result)`` tells it in full, as ``full``
    does from the beginning. ``failed(args, kwargs, error)`` hears the exception of one that was
    due.
    """
    steady = recorder.steady

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if is_dynamo_compiling():
            return original(*args, **kwargs)
        due = steady.due
        if due is None or steady.owner != get_ident():
            recorder.leave()
            return full(*args, **kwargs)
        try:
            goes_on = begins(steady, due, args, kwargs)
        except Exception as error:
            note(recorder, "steady", error)
            goes_on = False
        if not goes_on:
            return full(*args, **kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            steady.leave()
            try:
                failed(args, kwargs, error)
            except Exception as fault:
                note(recorder, probe, fault)
            raise
        try:
            if not ended(steady, due):
                after(steady.token, result)
        except Exception as error:
            note(recorder, probe, error)
        return result

    return wrapper
