"""Probe of the in-place writers of ``torch.Tensor``: those that replace values, and averages."""

import functools
from collections.abc import Callable
from math import inf
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
FIRST = 16  # steps in which averages are heard, and from which on they are now and then
PART = 16  # of the steps from each power of two to the next, the first sixteenth


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the in-place writers of ``torch.Tensor`` that replace values.

    Not heard as replacing: arithmetic in place (``mul_``, ``clamp_``, ``lerp_``), which makes new
    values of old ones, and the assignment of ``p.data`` itself. ``add_`` and ``lerp_`` are heard
    outside steps, for averages of a tensor with itself.
    """
    removals = [_writer(recorder, name) for name in GENERATORS + COPIES]
    recorder.averages.follow(recorder)
    return [*removals, recorder.averages.end]


def _writer(recorder: "Recorder", name: str) -> Callable[[], None]:
    """Most tensors that a program writes are no parameters: those are let through quickly."""
    original = getattr(torch.Tensor, name)
    full = hearing(recorder, "writes", original, _replacing(recorder, name), calm=True)
    storages, local, steady = recorder.replacements.storages, recorder.local, recorder.steady
    copies = name == "copy_"

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
        place = pointer(tensor) if storages or source else 0
        return place not in storages and not (place and source and place == pointer(source[0]))

    return replace(recorder, torch.Tensor, name, write)


def _replacing(recorder: "Recorder", name: str) -> Callable[..., Any]:
    replacements, local, steady = recorder.replacements, recorder.local, recorder.steady
    likeness, generated = recorder.values.likeness, name in GENERATORS
    same = name not in ("normal_", "uniform_")

    def before(tensor: torch.Tensor, *args: Any, **_: Any) -> Any:
        if same and not recorder.step and type(tensor) in PLAIN:
            likeness.fill(tensor)
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


class Averages:
    """Hears what adds a tensor to its own memory: a moving average kept without a copy.

    Optimizers that go through their tensors one by one call the same methods, thousands of times in
    a step. So the wrappers are on in the first steps and in the first sixteenth of the steps from
    each power of two to the next, which meets whatever comes again and again. To put them on and
    off at each step would cost more: torch.Tensor's attributes are looked up anew each time, and
    from Python 3.13 on never quickly again after 1,000 times (``MAX_VERSIONS_PER_CLASS``).
    """

    def __init__(self) -> None:
        self.next = 0.0  # step at which they are put on or off
        self.removals: list[Callable[[], None]] = []

    def follow(self, recorder: "Recorder") -> None:
        """So many steps are done: are averages to be heard from here on?"""
        step = recorder.step
        if step < self.next or "writes" in recorder.off:
            return
        power = FIRST if step < FIRST else 1 << (step.bit_length() - 1)
        end = power + power // PART
        if step < end:
            self.next = end
            if not self.removals:
                self.removals = [_average(recorder, name) for name in AVERAGES]
        else:
            self.next = 2 * power
            self.off()

    def off(self) -> None:
        """Hear no averages."""
        while self.removals:
            self.removals.pop()()

    def end(self) -> None:
        """The run is over."""
        self.next = inf
        self.off()


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
