"""Keeps ``torch.compile`` away from functions of ours that run inside a compiled region, and lets
it know torch's own behind our wrappers."""

import importlib
import sys
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

import torch._C._dynamo.eval_frame as frames

from steplens.record.stopwatch import CLOCK


def uncompiled(*functions: Callable[..., Any]) -> None:
    """Mark functions so that neither they nor what they call is compiled.

    A trace function is called in the middle of a compiled region, where torch would compile its
    frame as if it were the user's, and warn on the user's screen of what it cannot. torch before
    2.6 knows a mark for the function alone.
    """
    strategy = getattr(frames, "_FrameExecStrategy", None)
    for function in functions:
        code = function.__code__  # type: ignore[attr-defined]
        if strategy is not None:
            skip = frames._FrameAction.SKIP
            frames.set_code_exec_strategy(code, strategy(skip, skip))
        elif (skip_code := getattr(frames, "skip_code", None)) is not None:
            skip_code(code)


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
