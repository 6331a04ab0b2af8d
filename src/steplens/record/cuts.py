"""Probe of cuts: values taken out of the graph with ``detach``, ``item``, ``tolist``, ``numpy`` or
``torch.tensor``, or made whole numbers, which have no derivative."""

import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_dynamo_compiling
from torch.utils._device import (
    _device_constructors,  # those that heed a default device: read once, known by identity
)

from steplens.model.event import Cut
from steplens.record.graph import Walk
from steplens.record.wrap import hearing, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

METHODS = ("detach", "item", "tolist", "numpy", "long", "int", "argmax")
TIMES = 2  # a place is walked so often
PLACES = 200
MOST = 64  # values of a list looked at


class Cuts:
    """How often the cut at each place of the user's code was walked."""

    def __init__(self) -> None:
        self.walked: dict[tuple[int, int], int] = {}


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the calls that the user's own lines make, in spells.

    Not heard: the ``data`` attribute, and other operations without a derivative (comparisons,
    ``torch.argmax``).
    """
    _device_constructors()
    for name in METHODS:
        hear = _method(recorder, name)
        recorder.spells.add("cuts", partial(_outside_steps, recorder, torch.Tensor, name, hear))
    return [_outside_steps(recorder, torch, "tensor", _made(recorder))]


def _outside_steps(
    recorder: "Recorder", owner: Any, name: str, before: Callable[..., Any]
) -> Callable[[], None]:
    """Wrap a function; what optimizers call in their steps is let through quickly: Adam calls
    ``item`` once for each parameter."""
    original, local, steady = getattr(owner, name), recorder.local, recorder.steady
    full = hearing(recorder, "cuts", original, before, calm=True)

    @functools.wraps(original)
    def cut(*args: Any, **kwargs: Any) -> Any:
        running = steady.current
        stepping = local.stepping >= 0 or (running is not None and running.form == "step")
        if is_dynamo_compiling() or stepping:
            return original(*args, **kwargs)
        return full(*args, **kwargs)

    return replace(recorder, owner, name, cut)


def _method(recorder: "Recorder", how: str) -> Callable[..., Any]:
    def before(tensor: torch.Tensor, *_: Any, **__: Any) -> Any:
        if tensor.requires_grad and tensor.grad_fn is not None:
            _cut(recorder, how, (tensor,))
        return None

    return before


def _made(recorder: "Recorder") -> Callable[..., Any]:
    def before(data: Any, *_: Any, **__: Any) -> Any:
        held = [x for x in islice(_flat(data), MOST) if x.grad_fn is not None]
        if held:
            _cut(recorder, "torch.tensor", held)
        return None

    return before


def _flat(data: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    """The tensors in nested lists."""
    if isinstance(data, torch.Tensor):
        yield data
    elif isinstance(data, (list, tuple)) and depth < 3:
        for item in data[:MOST]:
            yield from _flat(item, depth + 1)


def _cut(recorder: "Recorder", how: str, tensors: Iterable[torch.Tensor]) -> None:
    frame = sys._getframe(4)  # above this, `before` and two wrappers
    if not recorder.places.owns(frame.f_code) or recorder.local.backward >= 0:
        return
    key = (id(frame.f_code), frame.f_lasti)
    walked = recorder.cuts.walked
    times = walked.get(key, 0)
    if times >= TIMES or (not times and len(walked) >= PLACES):
        return
    walked[key] = times + 1
    leaves = Walk(tensors).leaves
    numbers = tuple(recorder.census.account(leaf).number for leaf in leaves)
    recorder.emit(Cut(recorder.index(), recorder.step, recorder.places.of(frame), how, numbers))
