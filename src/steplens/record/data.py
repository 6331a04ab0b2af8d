"""Probe of DataLoaders: passes and batches."""

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, RandomSampler, SequentialSampler, dataloader

from steplens.model.event import Batch
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


class Loaders:
    """The DataLoaders seen, their numbers, passes and batches."""

    def __init__(self) -> None:
        self.numbers: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.passes: dict[int, int] = {}
        self.iterators: dict[int, tuple[weakref.ref[Any], int, int]] = {}
        self.next = 0

    def number(self, loader: Any) -> int:
        """The number of a DataLoader."""
        known = self.numbers.get(id(loader))
        if known is not None and known[0]() is loader:
            return known[1]
        self.numbers[id(loader)] = (weakref.ref(loader), self.next)
        self.next += 1
        return self.next - 1


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear an iterator being made (a pass begins) and each batch it hands out."""
    return [
        around(recorder, "data", DataLoader, "__iter__", *_pass(recorder)),
        around(recorder, "data", dataloader._BaseDataLoaderIter, "__next__", *_batch(recorder)),
    ]


def _pass(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    loaders = recorder.batches

    def before(loader: Any) -> Any:
        return loader

    def after(loader: Any, iterator: Any) -> None:
        number = loaders.number(loader)
        count = loaders.passes[number] = loaders.passes.get(number, 0) + 1
        loaders.iterators[id(iterator)] = (weakref.ref(iterator), number, 0)
        sampler = getattr(loader, "sampler", None)
        shuffled = (
            True
            if isinstance(sampler, RandomSampler)
            else False
            if isinstance(sampler, SequentialSampler)
            else None
        )
        try:
            batches = len(loader)
        except TypeError:
            batches = -1
        recorder.emit(
            Batch(
                recorder.index(),
                recorder.step,
                recorder.site(),
                "epoch",
                number,
                count,
                "",
                shuffled,
                batches,
            )
        )

    return before, after


def _batch(recorder: "Recorder") -> tuple[Callable[..., Any], ...]:
    loaders = recorder.batches

    def before(iterator: Any) -> Any:
        return iterator

    def after(iterator: Any, batch: Any) -> None:
        reference, number, count = loaders.iterators.get(id(iterator), (None, -1, 0))
        if reference is None or reference() is not iterator:
            return
        loaders.iterators[id(iterator)] = (reference, number, count + 1)
        recorder.emit(
            Batch(recorder.index(), recorder.step, recorder.site(), "batch", number, count + 1)
        )

    def failed(iterator: Any, error: BaseException) -> None:
        reference, number, count = loaders.iterators.pop(id(iterator), (None, -1, 0))
        if reference is not None and isinstance(error, StopIteration):
            recorder.emit(
                Batch(recorder.index(), recorder.step, recorder.site(), "end", number, count)
            )

    return before, after, failed
