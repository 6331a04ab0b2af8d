"""Reads: whether the ranks are given the same batches by their loaders.

Each rank puts the digests of a few batches into the store through which the process group met, and
reads those of the next rank once they are there. No collective is launched, and nothing is waited
for.
"""

from typing import TYPE_CHECKING, Any

import torch.distributed as dist
from torch.utils.data import DistributedSampler

from steplens.model.event import ReadAlike

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

PASSES = 2  # of each loader whose first batches are compared
BATCHES = 3  # of each of them
LEAST = 3  # batches that must be the same, with another batch among them
LOADERS = 16
PREFIX = "steplens/reads"


class Reads:
    """The batches put into the store, by loader, and those of them found to be the other rank's
    too."""

    def __init__(self) -> None:
        self.waiting: dict[int, dict[str, str]] = {}  # loader -> key -> digest
        self.same: dict[int, dict[str, str]] = {}
        self.closed: set[int] = set()  # loaders that are told of, or read apart
        self.looks = 0
        self.sharded = -1  # steps before a batch of this rank's part, by a DistributedSampler

    def wants(self, recorder: "Recorder", loader: int, batch: int) -> bool:
        """Whether something is to be done at this batch: to put one in, or to look for others."""
        if loader in self.closed or len(self.waiting) > LOADERS:
            return False
        return batch <= BATCHES or (batch & (batch - 1)) == 0

    def batch(
        self, recorder: "Recorder", iterator: Any, loader: int, passes: int, batch: int, digest: str
    ) -> None:
        """A loader gave a batch."""
        place = recorder.place()
        store: Any = getattr(dist.distributed_c10d, "_get_default_store", lambda: None)
        shard, replicas = _shard(iterator)
        # of fewer replicas than ranks, some of these hold parts of one model
        if place is None or place[1] < 2 or (shard >= 0 and replicas != place[1]):
            self.closed.add(loader)
            return
        rank, ranks = place
        self.sharded = recorder.step if shard == rank else self.sharded
        other = (rank + 1) % ranks
        mine = dist.PrefixStore(PREFIX, store())
        waiting = self.waiting.setdefault(loader, {})
        if passes <= PASSES and batch <= BATCHES and digest:
            key = f"{loader}/{passes}/{batch}"
            mine.set(f"{key}/{rank}", digest)
            waiting[key] = digest
        for key, own in list(waiting.items()):
            if not mine.check([f"{key}/{other}"]):
                continue
            del waiting[key]
            if mine.get(f"{key}/{other}").decode() != own:
                self.closed.add(loader)
                return
            self.same.setdefault(loader, {})[key] = own
        self._tell(recorder, loader, other, shard)

    def _tell(self, recorder: "Recorder", loader: int, other: int, shard: int) -> None:
        same = self.same.get(loader, {})
        if len(same) >= LEAST and len(set(same.values())) > 1:
            self.closed.add(loader)
            passes = len({key.split("/")[1] for key in same})
            at = recorder.index(), recorder.step, recorder.site()
            recorder.emit(ReadAlike(*at, loader, other, len(same), passes, shard))


def _shard(iterator: Any) -> tuple[int, int]:
    """The rank whose shard a loader's DistributedSampler gives, and of how many; -1 without one."""
    sampler = iterator._index_sampler
    sampler = getattr(sampler, "sampler", sampler)
    if not isinstance(sampler, DistributedSampler):
        return -1, 0
    return sampler.rank, sampler.num_replicas
