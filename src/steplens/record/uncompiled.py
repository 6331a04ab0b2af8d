"""Keeps ``torch.compile`` away from functions of ours that run inside a compiled region, and lets
it know torch's own behind our wrappers."""

import functools
import importlib
import sys
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from torch._C._dynamo import eval_frame as frames

from steplens.record.stopwatch import CLOCK


def uncompiled(owner: type, *names: str) -> int:
    """Mark methods so that neither they nor what they call is compiled.

    A trace function is called in the middle of a compiled region, where torch would compile its
    frame as if it were the user's, and warn on the user's screen of what it cannot. A torch that
    knows no mark for all that a function calls (2.4 to 2.6) is told that nothing is to be compiled
    until the method returns. Returns how many frames that puts around each.
    """
    strategy = getattr(frames, "_FrameExecStrategy", None)
    for name in names:
        function = getattr(owner, name)
        if strategy is not None:
            skip = frames._FrameAction.SKIP
            frames.set_code_exec_strategy(function.__code__, strategy(skip, skip))
        else:
            apart = _apart(function)
            frames.skip_code(apart.__code__)  # type: ignore[attr-defined]
            setattr(owner, name, apart)
    return int(strategy is None)


def _apart(function: Callable[..., Any]) -> Any:
    switch = frames.set_eval_frame

    @functools.wraps(function)
    def apart(*args: Any) -> Any:
        compiler = switch(None)
        try:
            return function(*args)
        finally:
            switch(compiler)

    return apart


def known_to_compiler(pairs: Iterable[tuple[Any, Any]]) -> None:
    """Let what the compiler knows of a wrapper hold for the function it was put over; both are
    given in pairs.

    ``torch._dynamo.trace_rules`` reads torch's functions once, by their names, and knows them by
    their identity from then on. If that is in the middle of a watch it knows our wrappers, and
    would break every graph with a dropout once they are taken off.
    """
    rules = sys.modules.get("torch._dynamo.trace_rules")
    read = getattr(rules, "get_torch_obj_rule_map", None)
    if read is None or not read.cache_info().currsize:
        return
    known = read()
    for wrapper, original in pairs:
        if wrapper in known:
            known[original] = known.pop(wrapper)


def import_compiler() -> None:
    """Import what torch itself imports when the first optimizer is made (``torch/_compile.py``):
    a second's work, and twice that while lines are heard, as they are not here."""
    began = perf_counter()
    importlib.import_module("torch._dynamo")
    CLOCK.leave_out(perf_counter() - began)
