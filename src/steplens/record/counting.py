"""Counting: the wrapper of a pass through a graph, in which other things happen: compared while
rounds are counted, else told in full. In brief (``Steady.brief``) a backward is compared here."""

import functools
from collections.abc import Callable
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.autograd import profiler
from torch.compiler import is_dynamo_compiling

from steplens.record.rounds import Call
from steplens.record.short import value_of
from steplens.record.silence import dispatch_modes, function_modes
from steplens.record.wrap import note

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.steady import Steady

LEAST = -inf  # a loss is above it, unless it is not finite


def counting(  # noqa: C901  as few frames as can be
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
    steady, backward = recorder.steady, probe == "backward"

    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: C901
        if is_dynamo_compiling():
            return original(*args, **kwargs)
        due = steady.due
        if due is None or steady.owner != get_ident():
            recorder.leave()
            return full(*args, **kwargs)
        brief = backward and steady.brief and due.form == "backward"
        try:
            if (
                brief
                and steady.current is None
                and type(args[0]) is Tensor
                and (not due.flags or args[0].is_cpu)  # no device is waited for
                and not (function_modes() or dispatch_modes() or profiler._is_profiler_enabled)
            ):
                loss = value_of(args[0]) if due.flags else None
                goes_on = loss is None or LEAST < loss <= steady.most
                if goes_on:
                    steady.loss, steady.roots = loss, args
                    steady.current = due
                    if steady.exchanged:
                        recorder.exchanges.before_backward()
                    goes_on = steady.on or steady.claimed(due)
                else:
                    steady.leave()
            else:
                goes_on = begins(steady, due, args, kwargs)
                if steady.branched >= 0:  # perhaps of another round than the one due
                    due, brief = steady.current or due, steady.brief
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
            if brief and steady.current is due:
                steady.roots = ()
                if steady.exchanged:
                    recorder.exchanges.after_backward(recorder, due.accounts)
                due.kept[steady.at // steady.size & 1] = steady.loss
                steady.at += 1
                steady.current = None
                steady.due = due.next
                counted = steady.on or steady.settled()
            else:
                counted = ended(steady, due)
            if not counted:
                after(steady.token, result)
        except Exception as error:
            note(recorder, probe, error)
        return result

    return wrapper
