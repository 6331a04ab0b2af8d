"""Clocked: loops that only step, with the clock read around them: steps that are timed."""

import ast
import sys
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from steplens.model.event import Share
from steplens.model.site import Site
from steplens.record.source import spans, syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 64  # lines looked at
FRAMES = 4  # of the user's, outwards from the step
NEAR = 2  # statements before and after the loop that are looked at
CLOCKS = frozenset((
    "perf_counter", "perf_counter_ns", "time", "time_ns", "monotonic", "monotonic_ns",
    "process_time", "default_timer", "record", "elapsed_time",
))  # fmt: skip
TIMERS = ("timeit", "torch.utils.benchmark")  # modules
DEEP = 64  # frames
Loop = ast.For | ast.While


class Clocked:
    """The lines that step with old gradients, looked at once each."""

    def __init__(self) -> None:
        self.known: dict[tuple[Site | None, Site | None], bool] = {}

    def times(self, recorder: "Recorder", uses: tuple[Share, ...]) -> bool:
        """Whether a step with gradients that earlier ones have used is being timed."""
        if not uses or not all(share.holds[-1].used_by for share in uses):
            return False
        key = recorder.places.call(1)
        known = self.known.get(key)
        if known is None:
            if len(self.known) >= MOST:
                return False
            known = self.known[key] = _by_a_timer() or any(map(_timed, _frames(recorder)))
        return known


def _frames(recorder: "Recorder") -> Iterator[FrameType]:
    frame, left = recorder.places.frame(2), FRAMES
    while frame is not None and left:
        if recorder.places.owns(frame.f_code):
            left -= 1
            yield frame
        frame = frame.f_back


def _by_a_timer() -> bool:
    """Whether Python's timer, or torch's, is running the step."""
    frame, left = sys._getframe(1), DEEP
    while frame is not None and left:
        if str(frame.f_globals.get("__name__", "")).startswith(TIMERS):
            return True
        frame, left = frame.f_back, left - 1
    return False


def _timed(frame: FrameType) -> bool:
    """Whether the innermost loop around a frame's line only calls, and the clock is read around it
    or in it."""
    tree, line = syntax_tree(frame.f_code.co_filename), frame.f_lineno
    loops = [n for n in ast.walk(tree) if isinstance(n, Loop) and spans(n, line)] if tree else []
    if tree is None or not loops:
        return False
    loop = max(loops, key=lambda node: node.lineno)
    if not any(spans(node, line) for node in loop.body):
        return False
    plain = [node for node in loop.body if not _reads_clock(node)]
    if not all(isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) for n in plain):
        return False
    if len(plain) + 1 < len(loop.body):  # read before and after each step
        return True
    for block in _blocks(tree):
        if loop in block:
            place = block.index(loop)
            before, after = block[max(place - NEAR, 0) : place], block[place + 1 :][:NEAR]
            if any(map(_reads_clock, before)) and any(map(_reads_clock, after)):
                return True
    around = [n for n in ast.walk(tree) if isinstance(n, ast.With) and n.body == [loop]]
    names = {ast.unparse(item.context_expr).partition("(")[0] for n in around for item in n.items}
    return any(
        isinstance(node, ast.ClassDef | ast.FunctionDef)
        and node.name in names
        and any(map(_reads_clock, node.body))
        for node in ast.walk(tree)
    )


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                yield block


def _reads_clock(node: ast.stmt) -> bool:
    return any(
        isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in CLOCKS
        for call in ast.walk(node)
    )
