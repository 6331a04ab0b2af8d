"""Samplers: which one orders a loader's samples; where those with weights or for one rank were
made, and whether each sample has a weight."""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch.utils.data import BatchSampler, WeightedRandomSampler

from steplens.model.event import Undrawn
from steplens.model.newest import Newest
from steplens.model.site import Site

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 64  # samplers


class Samplers:
    """The samplers heard being made, by identity, and the lines that made them."""

    def __init__(self) -> None:
        self.made = Newest[int, tuple[weakref.ref[Any], Site | None]](MOST)

    def hear(self, recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
        """What hears one being made, before and after."""

        def before(sampler: Any, *_: Any, **__: Any) -> Any:
            return (sampler,)

        def after(token: Any, _: Any) -> None:
            self.made[id(token[0])] = weakref.ref(token[0]), recorder.site()

        return before, after

    def site(self, sampler: Any) -> Site | None:
        """The line that made a sampler, if it was seen."""
        reference, site = self.made.get(id(sampler), (None, None))
        return site if reference is not None and reference() is sampler else None


def ordering(loader: Any) -> Any:
    """The sampler that gives the order of a loader's samples, by itself or in torch's own batch
    sampler; None for an order that comes from elsewhere."""
    batches: Any = getattr(loader, "batch_sampler", None)
    if batches is None:
        return getattr(loader, "sampler", None)
    return batches.sampler if type(batches).__iter__ is BatchSampler.__iter__ else None


def unweighted(recorder: "Recorder", loader: Any, number: int) -> None:
    """Tell of a loader that can draw only the first samples of its dataset.

    torch: ``WeightedRandomSampler.__iter__`` draws positions of its weights, ``multinomial`` of
    them, and these are the indices of the samples.
    """
    sampler = ordering(loader)
    if not isinstance(sampler, WeightedRandomSampler):
        return
    if type(sampler).__iter__ is not WeightedRandomSampler.__iter__:
        return
    try:
        weights, samples = len(sampler.weights), len(loader.dataset)
    except Exception:  # the program's own `__len__`, or none
        return
    if weights < samples:
        made = recorder.batches.samplers.site(sampler)
        at = recorder.index(), recorder.step, recorder.site()
        recorder.emit(Undrawn(*at, number, weights, samples, made))
