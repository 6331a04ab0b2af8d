"""Probe of batches: the wrapper of a loader iterator's ``__next__``, which tells each batch or,
while rounds are counted, compares it."""

import functools
import gc
import itertools
import weakref
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.compiler import is_compiling
from torch.utils.data import RandomSampler, dataloader, default_collate

from steplens.model.event import Batch
from steplens.record.between import batch_counts
from steplens.record.nested import tensors_in
from steplens.record.reads import BATCHES
from steplens.record.rounds import Call, there
from steplens.record.silence import alone, heard
from steplens.record.sums import digest_of
from steplens.record.wrap import hearing, note, replace

if TYPE_CHECKING:
    from steplens.record.data import Loaders
    from steplens.record.recorder import Recorder

PASSES = 40  # passes whose first batch gets a digest
FAR = 8  # of which so many, if it lies on a GPU: reading it waits


def install(recorder: "Recorder") -> Callable[[], None]:
    """Hear each batch that a loader's iterator gives, and its end."""
    owner: Any = dataloader._BaseDataLoaderIter
    original = owner.__next__
    before, after, failed = _batch(recorder)
    full = hearing(recorder, "data", original, before, after, failed, calm=True)
    steady, rested = recorder.steady, recorder.learner.rested

    @functools.wraps(original)
    def give(self: Any) -> Any:
        due = steady.due
        try:
            if due is None and rested.rounds:
                due = rested.take_up(recorder, "batch", None)
        except Exception as error:
            note(recorder, "data", error)
        if due is None or due.form != "batch" or is_compiling():
            return full(self)
        try:
            awaited = _is_due(recorder, due, self) and before(self) is self
        except Exception as error:
            note(recorder, "data", error)
            awaited = False
        if not awaited:
            return full(self)
        try:
            batch = original(self)
        except BaseException as error:
            try:
                with alone():
                    failed(self, error)
            except Exception as fault:
                note(recorder, "data", fault)
            raise
        try:
            count = _fetched(recorder, self, batch)
            digest = ""
            if _first(recorder, due.event.loader, count):
                with alone():
                    digest = _digest(recorder, due.event.loader, batch)
            if not batch_counts(steady, due, (count, digest)):
                with alone():
                    _tell(recorder, recorder.batches.iterators[id(self)][1], count, batch)
        except Exception as error:
            note(recorder, "data", error)
        return batch

    return replace(recorder, owner, "__next__", give)


def _is_due(recorder: "Recorder", due: Call, iterator: Any) -> bool:
    """Whether the batch about to be read is the one that is due in a round that is counted, and
    nothing is to be asked of it but that it comes."""
    steady, loaders = recorder.steady, recorder.batches
    reference, number, count = loaders.iterators.get(id(iterator), (None, -1, 0))
    return (
        reference is not None
        and reference() is iterator
        and number == due.event.loader
        and steady.current is None
        and steady.owner == get_ident()
        and (steady.brief or (there(due) and not heard()))
        and (not steady.at or not _first(recorder, number, count + 1))  # one taken up is told
        and number not in recorder.workers.boards
        and number not in loaders.streams.batches
        and (number not in recorder.datasets.known or not heard())
        and not (loaders.reads.wants(recorder, number, count + 1) and recorder.place() is not None)
    )


def _batch(recorder: "Recorder") -> tuple[Callable[..., Any], ...]:
    loaders = recorder.batches

    def before(iterator: Any) -> Any:
        reference, number, _ = loaders.iterators.get(id(iterator), (None, -1, 0))
        if reference is None or reference() is not iterator:
            return None
        recorder.datasets.before_fetch(recorder, number, iterator)
        loaders.reading = number, loaders.passes.get(number, 0)
        return iterator

    def after(iterator: Any, batch: Any) -> None:
        count = _fetched(recorder, iterator, batch)
        number = loaders.iterators[id(iterator)][1]
        recorder.workers.read(recorder, number)
        loaders.streams.batch(recorder, iterator, number, batch)
        passes = loaders.passes.get(number, 0)
        if recorder.place() is not None and loaders.reads.wants(recorder, number, count):
            with recorder.guarded("reads"):
                digest = digest_of(batch) if count <= BATCHES else ""
                loaders.reads.batch(recorder, iterator, number, passes, count, digest)
        _tell(recorder, number, count, batch)

    def failed(iterator: Any, error: BaseException) -> None:
        loaders.reading = None
        _, number, count = loaders.iterators.pop(id(iterator), (None, -1, 0))
        if number >= 0 and isinstance(error, StopIteration):
            recorder.datasets.ended(recorder, number)
            loaders.left.ended(recorder, number, count)
            recorder.emit(
                Batch(recorder.index(), recorder.step, recorder.site(), "end", number, count)
            )
            if id(iterator) in loaders.called and _cycled(iterator):
                recorder.emit(
                    Batch(recorder.index(), recorder.step, recorder.site(), "cycled", number, count)
                )
        loaders.called.discard(id(iterator))

    return before, after, failed


def _fetched(recorder: "Recorder", iterator: Any, batch: Any) -> int:
    """A batch has been read; the how manyth of its pass it is."""
    loaders = recorder.batches
    loaders.reading = None
    loaders.left.read()
    reference, number, count = loaders.iterators[id(iterator)]
    loaders.iterators[id(iterator)] = (reference, number, count + 1)
    loaders.early.read(number, count + 1)
    recorder.datasets.after_fetch(recorder, number, batch)
    _remember(loaders, iterator, batch)
    return count + 1


def _tell(recorder: "Recorder", number: int, count: int, batch: Any) -> None:
    local = recorder.local
    described = None
    if not local.depth and local.backward < 0 and local.stepping < 0:
        described = recorder.learner.describe("batch", None)
    event = Batch(
        recorder.index(),
        recorder.step,
        recorder.site(),
        "batch",
        number,
        count,
        _digest(recorder, number, batch) if _first(recorder, number, count) else "",
    )
    local.described = described
    recorder.emit(event)


def _first(recorder: "Recorder", number: int, count: int) -> bool:
    """Whether a batch is the first of one of the passes whose first one gets a digest."""
    return count == 1 and recorder.batches.passes.get(number, 0) <= PASSES


def _digest(recorder: "Recorder", number: int, batch: Any) -> str:
    return digest_of(batch, far=recorder.batches.passes.get(number, 0) <= FAR)


def _cycled(iterator: Any) -> bool:
    """Whether an `itertools.cycle` holds the iterator: it keeps the batches and gives them again
    and again, in their order."""
    return any(type(each) is itertools.cycle for each in gc.get_referrers(iterator))


def _remember(loaders: "Loaders", iterator: Any, batch: Any) -> None:
    """Keep weakly the tensors of a batch whose first dimension is known to be the samples'."""
    stacked = iterator._auto_collation and iterator._collate_fn is default_collate
    loaders.latest = [weakref.ref(tensor) for tensor in _tensors(batch)] if stacked else []
    sampler = iterator._index_sampler
    inner = getattr(sampler, "sampler", sampler)
    loaders.shuffled = isinstance(inner, RandomSampler)


def _tensors(batch: Any) -> Any:
    """The tensors of a batch, quickly where it is a short list of them."""
    if type(batch) is list and len(batch) < 8 and all(type(each) is Tensor for each in batch):
        return batch
    return tensors_in(batch)
