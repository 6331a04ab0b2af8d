"""Probe of regions that cannot be watched: compiled, scripted and sharded ones, CUDA graphs."""

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Unseen
from steplens.record import members
from steplens.record.uncompiled import import_compiler
from steplens.record.wrap import around, compiler_arrived, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

WHY = {
    "compiled": "the calls inside it, and the lines that made its graph",
    "scripted": "the calls inside it, and the lines that made its graph",
    "captured": "the calls inside it, and what its replays do",
    "sharded": "the values and gradients of its parameters, which are spread over processes",
}
SHARDED = ("FullyShardedDataParallel", "FSDPModule")


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear ``torch.compile`` (also ``Module.compile``), ``jit.script`` and ``jit.trace``
    called by the user's code; sharded modules are met at their first forward."""
    return [
        around(recorder, "unseen", torch, "compile", _given(recorder, "compiled")),
        around(recorder, "unseen", torch.jit, "trace", _given(recorder, "scripted")),
        around(recorder, "unseen", torch.jit, "script", _given(recorder, "scripted")),
        _one_frame_further(recorder),
    ]


def _one_frame_further(recorder: "Recorder") -> Callable[[], None]:
    """``jit.script`` looks up a class's names in the frame of its caller: ours is one too many."""
    wrapped = torch.jit.script

    @functools.wraps(wrapped)
    def script(obj: Any, optimize: Any = None, _frames_up: int = 0, *args: Any, **more: Any) -> Any:
        return wrapped(obj, optimize, _frames_up + 2, *args, **more)

    return replace(recorder, torch.jit, "script", script)


def _given(recorder: "Recorder", what: str) -> Callable[..., Any]:
    def before(value: Any = None, *_: Any, **options: Any) -> Any:
        if value is None or options.get("disable"):
            return None
        frame = sys._getframe(2)
        if frame.f_code.co_filename == __file__:
            frame = frame.f_back or frame  # `script`, below
        if frame.f_back is not None and frame.f_code.co_filename.endswith("modules/module.py"):
            frame = frame.f_back  # `model.compile()`
        if recorder.places.owns(frame.f_code):
            tell(recorder, what, value)
        if what == "compiled":
            import_compiler()  # as torch is about to do
            compiler_arrived()
        return None

    return before


def tell(recorder: "Recorder", what: str, value: Any) -> None:
    """Note a region that is not seen, once."""
    name = getattr(value, "original_name", "") or getattr(value, "__name__", "")
    name = name or type(value).__name__
    words = f"{what} `{name}`: {WHY[what]}"
    if words in recorder.not_seen or len(recorder.not_seen) >= 64:
        return
    recorder.not_seen.append(words)
    event = Unseen(recorder.index(), recorder.step, recorder.site(), what, name, WHY[what])
    recorder.emit(event)


def meet(recorder: "Recorder", module: nn.Module) -> None:
    """A module met for the first time: say so if it cannot be seen into."""
    kind = type(module)
    if kind.__name__ == "OptimizedModule":
        tell(recorder, "compiled", getattr(module, "_orig_mod", module))
    elif isinstance(module, torch.jit.ScriptModule):
        tell(recorder, "scripted", module)
    elif any(base.__name__ in SHARDED for base in kind.__mro__) or any(
        type(parameter).__name__ == "DTensor" or type(parameter.data).__name__ == "DTensor"
        for parameter in members.parameters(module, recurse=True)
    ):
        tell(recorder, "sharded", module)
