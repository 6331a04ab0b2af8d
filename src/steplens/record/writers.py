"""Probe of the in-place writers of ``torch.Tensor``: those that replace values, and averages."""

import functools
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling, is_dynamo_compiling

from steplens.record.norms import PLAIN
from steplens.record.silence import function_modes
from steplens.record.wrap import hearing, note, replace
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

# Writers that disregard what stood there, and those whose source may be made of it.
GENERATORS = ("fill_", "zero_", "normal_", "uniform_")
COPIES = ("copy_", "__setitem__")
AVERAGES = ("add_", "lerp_")


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the in-place writers of ``torch.Tensor`` that replace values.

    Not heard as replacing: arithmetic in place (``mul_``, ``clamp_``, ``lerp_``), which makes new
    values of old ones, and the assignment of ``p.data`` itself. ``add_`` and ``lerp_`` are heard
    outside steps, for averages of a tensor with itself.
    """
    for name in AVERAGES:
        recorder.spells.add("writers", partial(_average, recorder, name))
    return [_writer(recorder, name) for name in GENERATORS + COPIES]


def _writer(recorder: "Recorder", name: str) -> Callable[[], None]:
    """Most tensors that a program writes are no parameters: those are let through quickly."""
    original = getattr(torch.Tensor, name)
    full = hearing(recorder, "writes", original, _replacing(recorder, name), calm=True)
    storages, local, steady = recorder.replacements.storages, recorder.local, recorder.steady
    copies, generated, undone = name == "copy_", name in GENERATORS, recorder.taken.undone

    @functools.wraps(original)
    def write(*args: Any, **kwargs: Any) -> Any:
        try:
            busy = steady.current is not None or local.stepping >= 0
            through = (
                recorder.step
                and len(args) > copies
                and not is_compiling()
                and not function_modes()
                and (busy or apart(*args[: 1 + copies]))
            )
        except Exception as error:
            note(recorder, "writes", error)
            through = True
        if through:
            return original(*args, **kwargs)
        return full(*args, **kwargs)

    def apart(tensor: Any, *source: Any) -> bool:
        """Whether the tensor is neither a held parameter, or a part of one, nor its own source."""
        if type(tensor) not in PLAIN:
            return True
        if generated and undone.pending:
            return False
        place = pointer(tensor) if storages or source else 0
        return place not in storages and not (place and source and place == pointer(source[0]))

    return replace(recorder, torch.Tensor, name, write)


def _replacing(recorder: "Recorder", name: str) -> Callable[..., Any]:
    replacements, local, steady = recorder.replacements, recorder.local, recorder.steady
    likeness, generated = recorder.values.likeness, name in GENERATORS
    same, undone = name not in ("normal_", "uniform_"), recorder.taken.undone

    def before(tensor: torch.Tensor, *args: Any, **_: Any) -> Any:
        if same and not recorder.step and type(tensor) in PLAIN:
            likeness.fill(tensor)
            if not generated:
                recorder.strays.brought.written(recorder, tensor)
        if generated and undone.pending:
            undone.wrote(recorder, tensor)
        if (
            replacements.storages
            and local.stepping < 0
            and local.backward < 0
            and steady.current is None
            and type(tensor) in PLAIN
        ):
            replacements.about_to_write(recorder, tensor, name, generated)
        if name == "copy_" and recorder.step and local.stepping < 0 and args:
            recorder.self_copies.look(recorder, tensor, args[0])
        return None

    return before


def _average(recorder: "Recorder", name: str) -> Callable[[], None]:
    original = getattr(torch.Tensor, name)
    local, steady, copies = recorder.local, recorder.steady, recorder.self_copies

    def before(tensor: torch.Tensor, other: Any = None, *_: Any, **__: Any) -> Any:
        if isinstance(other, torch.Tensor):
            copies.look(recorder, tensor, other, "average")

    full = hearing(recorder, "writes", original, before, calm=True)

    @functools.wraps(original)
    def average(*args: Any, **kwargs: Any) -> Any:
        if (
            is_dynamo_compiling()
            or steady.current is not None
            or local.stepping >= 0
            or not recorder.step
        ):
            return original(*args, **kwargs)
        return full(*args, **kwargs)

    return replace(recorder, torch.Tensor, name, average)
