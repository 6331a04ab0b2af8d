"""Noise: the random numbers that the user's own lines draw from generators of their own, step after
step; whether they are the same each time is for ``seeds`` to say, at the next backward."""

import functools
import sys
import zlib
from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch
from torch.compiler import is_compiling

from steplens.record.seeds import LONG, STATES, Seeding
from steplens.record.silence import unheard
from steplens.record.wrap import note, replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

NOISE = (
    "rand", "randn", "normal", "bernoulli", "multinomial", "rand_like", "randn_like",
)  # fmt: skip
DRAWS = 32  # of each line that are compared: later ones do not begin to repeat
MUCH = 4096  # elements of them
LINES = 256


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear torch's functions that may be given a generator."""
    return [_hear(recorder, name) for name in NOISE]


def _hear(recorder: "Recorder", name: str) -> Callable[[], None]:
    """Hear the noise that the user's own lines draw from a generator of their own, while gradients
    are recorded; calls that are given none go straight through."""
    original = getattr(torch, name)
    how, drawn = f"torch.{name}", recorder.seeds.drawn

    @unheard
    def heard(numbers: Any, place: tuple[CodeType, int]) -> None:
        times = drawn.get(place, 0)
        if times >= DRAWS or (not times and len(drawn) >= LINES):
            return
        drawn[place] = times + 1
        site = recorder.site()
        if site is None or type(numbers) is not torch.Tensor or numbers.device.type != "cpu":
            return
        sample = numbers.detach().flatten()[:MUCH]
        if not _told_apart(sample):
            return
        fresh = Seeding(how, site, zlib.crc32(sample.numpy().tobytes()), recorder.step, -1)
        fresh.meant = True
        fresh.caller = recorder.places.call(1)[1]
        fresh.others = _others(recorder)
        known = recorder.seeds.fresh.get(how)
        fresh.varied = known is not None and known.site == site
        recorder.seeds.fresh[how] = fresh

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("generator") is None:
            return original(*args, **kwargs)
        numbers = original(*args, **kwargs)
        if is_compiling():
            return numbers
        try:
            frame = sys._getframe(1)
            inside = recorder.local.depth or recorder.steady.inside
            if (
                not inside
                and recorder.listening()
                and "noise" not in recorder.off
                and torch.is_grad_enabled()
                and recorder.places.owns(frame.f_code)
            ):
                heard(numbers, (frame.f_code, frame.f_lasti))
        except Exception as error:
            note(recorder, "noise", error)
        return numbers

    call.__prepare_scriptable__ = lambda: original  # type: ignore[attr-defined]
    return replace(recorder, torch, name, call)


def _told_apart(sample: torch.Tensor) -> bool:
    """Whether numbers do not come twice by chance: many that differ, or many of both kinds."""
    if sample.numel() < LONG or sample.dtype not in (torch.float32, torch.float64, torch.int64):
        return False
    kinds, counts = sample.unique(return_counts=True)
    return len(kinds) >= LONG or (len(kinds) == 2 and int(counts.min()) >= LONG)


def _others(recorder: "Recorder") -> object:
    """Where the generators of all have got to, and the batches of each loader."""
    names = [name for name in STATES if name != "numpy" or "numpy" in sys.modules]
    iterators = recorder.batches.iterators.values()
    return [STATES[name]() for name in names], [(number, count) for _, number, count in iterators]
