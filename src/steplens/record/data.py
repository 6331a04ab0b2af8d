"""Probe of DataLoaders: made, and passes; ``batches`` hears what they give."""

import dis
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import (
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    WeightedRandomSampler,
)

from steplens.model.event import Batch
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record import batches
from steplens.record.early import Early
from steplens.record.folds import Folds
from steplens.record.leftover import Leftover
from steplens.record.reads import Reads
from steplens.record.samplers import Samplers, ordering, unweighted
from steplens.record.schedule import expect
from steplens.record.seeds import STATES
from steplens.record.shards import Shards
from steplens.record.streams import Streams
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 256  # loaders whose passes are counted


class Loaders:
    """The DataLoaders seen, their numbers, passes and batches; the latest batch."""

    def __init__(self) -> None:
        self.numbers: dict[int, tuple[weakref.ref[Any], int]] = {}
        self.made = Newest[int, Site | None](256)
        self.passes = Newest[int, int](MOST)
        self.iterators: dict[int, tuple[weakref.ref[Any], int, int]] = {}
        self.latest: list[weakref.ref[torch.Tensor]] = []  # of a loader that stacks its samples
        self.shuffled: bool | None = None
        self.called: set[int] = set()  # first iterators that a call asked for, not a `for`
        self.reads = Reads()
        self.reading: tuple[int, int] | None = None  # loader and pass of the batch being made
        self.streams = Streams()
        self.samplers, self.folds = Samplers(), Folds()
        self.early, self.shards = Early(), Shards()
        self.left = Leftover()
        self.next = 0

    def dataset(self, dataset: Any) -> int:
        """The number of a dataset; -1 for one that cannot be followed, such as a list."""
        try:
            return self.number(dataset)
        except TypeError:
            return -1

    def number(self, loader: Any) -> int:
        """The number of a DataLoader."""
        known = self.numbers.get(id(loader))
        if known is not None and known[0]() is loader:
            return known[1]
        key = id(loader)
        self.numbers[key] = (
            weakref.ref(loader, lambda _, key=key: self.numbers.pop(key, None)),
            self.next,
        )
        self.next += 1
        return self.next - 1


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear loaders being made, an iterator being made (a pass begins), and each batch."""
    heard = recorder.batches.samplers.hear(recorder)
    return [
        around(recorder, "data", DataLoader, "__init__", *_made(recorder), calm=True),
        around(recorder, "data", DataLoader, "__iter__", *_pass(recorder), calm=True),
        batches.install(recorder),
        *(
            around(recorder, "data", kind, "__init__", *heard, calm=True)
            for kind in (WeightedRandomSampler, DistributedSampler)
        ),
    ]


def shuffles(loader: Any) -> bool | None:
    """Whether a loader's sampler draws its order; None when it is of another kind."""
    sampler = getattr(loader, "sampler", None)
    if isinstance(sampler, RandomSampler):
        return True
    return False if isinstance(sampler, SequentialSampler) else None


def order_of(loader: Any) -> int:
    """What a loader's order is drawn from where a DistributedSampler of several replicas shuffles
    it: its seed + epoch; -1 for any other order.

    torch: ``g.manual_seed(self.seed + self.epoch)`` in ``DistributedSampler.__iter__``.
    """
    sampler = ordering(loader)
    if not isinstance(sampler, DistributedSampler) or not sampler.shuffle:
        return -1
    if type(sampler).__iter__ is not DistributedSampler.__iter__ or sampler.num_replicas < 2:
        return -1
    return int(sampler.seed + sampler.epoch)


def _made(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    def before(loader: Any, *_: Any, **__: Any) -> Any:
        return (loader,)

    def after(token: Any, _: Any) -> None:
        recorder.batches.made[recorder.batches.number(token[0])] = recorder.site()

    return before, after


def _pass(recorder: "Recorder") -> tuple[Callable[..., Any], Callable[..., Any]]:
    loaders = recorder.batches

    def before(loader: Any) -> Any:
        number = loaders.number(loader)
        recorder.workers.prepare(recorder, loader, number)
        fresh = "torch" in recorder.seeds.fresh and shuffles(loader) is not True
        return loader, number, STATES["torch"]() if fresh else None

    def after(token: Any, iterator: Any) -> None:
        loader, number, state = token
        if state is not None:
            recorder.seeds.drawn_by_loader(state)
        count = loaders.passes.pop(number, 0) + 1
        loaders.passes[number] = count  # the one used last comes last
        loaders.left.read()
        loaders.streams.begin(loader, number, count)
        loaders.early.begins(recorder, number, count, _length(loader))
        loaders.iterators[id(iterator)] = (weakref.ref(iterator), number, 0)
        if count == 1 and shuffles(loader) and _called(recorder):
            loaders.called.add(id(iterator))
        if len(loaders.iterators) > 64:
            _forget(loaders)
        recorder.datasets.begin(loader, number)
        batches = _length(loader)
        samples = _length(loader.dataset) if batches > 0 else -1
        if count > 1:
            expect(recorder)
        seed = order_of(loader)
        recorder.emit(
            Batch(
                recorder.index(),
                recorder.step,
                recorder.site(),
                "epoch",
                number,
                count,
                "",
                shuffles(loader),
                batches,
                loaders.dataset(loader.dataset),
                loaders.made.get(number),
                seed,
                samples,
            )
        )
        with recorder.guarded("reads"):
            loaders.shards.begin(recorder, loader, number, count, seed)
        if count == 1:
            unweighted(recorder, loader, number)
        loaders.folds.begins(recorder, loader)

    return before, after


def _length(sized: Any) -> int:
    """How many batches or samples there are; -1 where that is not said."""
    try:
        return len(sized)
    except Exception:  # none, or the program's own `__len__` refuses
        return -1


def _forget(loaders: Loaders) -> None:
    for key, (reference, _, _) in list(loaders.iterators.items()):
        if reference() is None:
            del loaders.iterators[key]


def _called(recorder: "Recorder") -> bool:
    """Whether a call in the user's line asks for an iterator, such as `itertools.cycle(loader)`;
    a `for` asks by an instruction of its own."""
    frame = recorder.places.frame(1)
    if frame is None or frame.f_lasti < 0:
        return False
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] != "GET_ITER"
