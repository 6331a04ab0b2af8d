"""Probe of writes of a fraction into a tensor of integers, which keeps nothing of it."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Vain
from steplens.model.site import Site
from steplens.record.cadence import Cadence
from steplens.record.norms import readable
from steplens.record.silence import function_modes, overheard, unheard
from steplens.record.wrap import overhear

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

# writers, and where among their arguments the value stands
WRITERS = {
    "__setitem__": 2,
    "fill_": 1,
    "masked_fill_": 2,
    "masked_fill": 2,
    "index_fill_": 3,
    "scatter_": 3,
}
MOST = 64  # lines told
SMALL = 1024  # elements of a tensor that is looked at


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the writers of one value, as the user's own lines call them, and ``full_like``."""
    told: set[Site | None] = set()

    def due() -> bool:
        return len(told) < MOST and not (function_modes() and overheard())

    def hearing(place: int) -> Callable[..., Any]:
        def heard(result: Any, *args: Any, **kwargs: Any) -> None:
            target = args[0] if args else kwargs.get("input")
            value = kwargs.get("value", args[place] if len(args) > place else None)
            if not _whole(kwargs.get("dtype"), target, result):
                return
            fraction = _fraction(value, recorder.cadence)
            if fraction is not None and recorder.places.owns(sys._getframe(2).f_code):
                tell(
                    result if isinstance(result, torch.Tensor) or target is None else target,
                    fraction,
                )

        return heard

    @unheard
    def tell(kept: torch.Tensor, fraction: float) -> None:
        site = recorder.site()
        if site not in told:
            told.add(site)
            index, name = recorder.index(), str(kept.dtype).removeprefix("torch.")
            recorder.emit(Vain(index, recorder.step, site, "fraction", name, value=fraction))

    removals = [
        overhear(recorder, "fractions", torch.Tensor, name, due, hearing(place))
        for name, place in WRITERS.items()
    ]
    return [*removals, overhear(recorder, "fractions", torch, "full_like", due, hearing(1))]


@unheard
def _fraction(value: Any, cadence: Cadence) -> float | None:
    """The value, or the first of a small tensor, where nothing is kept of any: they lie between -1
    and 1. Of 3.7 the 3 may be what is wanted. A tensor on a GPU is read at a look."""
    if type(value) is float:
        return value if 0 < abs(value) < 1 else None
    if type(value) is not torch.Tensor or not value.dtype.is_floating_point:
        return None
    if not 0 < value.numel() <= SMALL or not (readable(value) and cadence.may_read(value)):
        return None
    plain = value.detach().reshape(-1)
    parts = plain[plain != 0]
    return float(parts[0]) if parts.numel() and bool((parts.abs() < 1).all()) else None


def _whole(dtype: Any, target: Any, result: Any) -> bool:
    """Whether what is written keeps whole numbers only; of truth values 0.5 is one."""
    if type(target) is not torch.Tensor or dtype is not None:
        return False
    kept = result.dtype if type(result) is torch.Tensor else target.dtype
    return not (kept.is_floating_point or kept.is_complex or kept is torch.bool)
