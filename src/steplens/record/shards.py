"""Shards: whether the ranks' DistributedSamplers shuffle by the same numbers, so that each sample
is in the part of one rank. Each rank puts its seed into the store through which the process group
met, and reads the next rank's once it is there."""

import copy
from typing import TYPE_CHECKING, Any

from steplens.model.event import ReadAlike
from steplens.model.site import Site
from steplens.record.pairs import shared_store
from steplens.record.samplers import ordering

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

PASSES = 3  # of each loader
WAITING = 16
MOST = 100_000  # samples of a dataset whose order is drawn once more


class Shards:
    """The seeds put into the store, by loader and pass, until the other rank's are found."""

    def __init__(self) -> None:
        self.waiting: dict[str, tuple[int, int, Any, Site | None]] = {}
        self.closed: set[int] = set()

    def begin(self, recorder: "Recorder", loader: Any, number: int, passes: int, seed: int) -> None:
        """A pass over a loader begins, whose order is drawn from ``seed``; -1 for any other."""
        where = recorder.place() if seed >= 0 or self.waiting else None
        if where is None or where[1] < 2:
            return
        rank, ranks = where
        other, store = (rank + 1) % ranks, shared_store()
        sampler = ordering(loader) if seed >= 0 else None
        fits = sampler is not None and (sampler.rank, sampler.num_replicas) == where
        if fits and passes <= PASSES and len(self.waiting) < WAITING:
            key = f"shards/{number}/{len(loader.dataset)}/{passes}"
            store.set(f"{key}/{rank}", str(seed))
            self.waiting[key] = (
                number,
                seed,
                copy.copy(sampler),
                recorder.batches.samplers.site(sampler),
            )
        for key, (known, own, kept, made) in list(self.waiting.items()):
            if known in self.closed or not store.check([f"{key}/{other}"]):
                continue
            del self.waiting[key]
            theirs = int(store.get(f"{key}/{other}"))
            both = _both(kept, own, theirs, other) if theirs != own else 0
            if both:
                self.closed.add(known)
                at = recorder.index(), recorder.step, recorder.site()
                recorder.emit(
                    ReadAlike(*at, known, other, 0, passes, rank, both, (own, theirs), made)
                )


def _both(sampler: Any, own: int, theirs: int, other: int) -> int:
    """How many samples are in this rank's part and in the other's. The order of each is drawn by a
    generator of the sampler's own; some are given to two ranks where the parts would else differ in
    length."""
    if not 0 < len(sampler.dataset) <= MOST:
        return 0
    parts: list[set[int]] = []
    for seed, rank in ((own, sampler.rank), (theirs, other)):
        sampler.seed, sampler.epoch, sampler.rank = seed, 0, rank
        parts.append(set(sampler))
    twice = max(0, sampler.total_size - len(sampler.dataset))
    return max(0, len(parts[0] & parts[1]) - twice)
