"""By hand: whether ranks whose gradients are the same to the last bit, in no
DistributedDataParallel, step the same model: what averages gradients copies no parameters.
Samples of both are compared at a few steps (``pairs``).
"""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from steplens.model.event import Apart
from steplens.record.account import Account
from steplens.record.pairs import Pairs, distance, few, shared_store
from steplens.record.ranks import place

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 16  # of a sample
LAST = 64  # step up to which samples are taken, and looked for
LEAST = 4  # elements whose gradient is not 0


class ByHand:
    """The samples put into the store, by optimizer, until the other rank's are found."""

    def __init__(self) -> None:
        self.steps: dict[int, int] = {}
        self.waiting: dict[int, Pairs] = {}

    def step(self, recorder: "Recorder", number: int, accounts: Sequence[Account]) -> None:
        """An optimizer none of whose tensors is in a wrapper is about to step."""
        where, count = place(), self.steps.get(number, 0) + 1
        if where is None:
            return
        rank, ranks = where
        if count > LAST or ranks < 2:
            self.waiting.pop(number, None)
            return
        self.steps[number] = count
        pairs = self.waiting.setdefault(number, Pairs())
        store, other = shared_store(), (rank + 1) % ranks
        if count > 1 and not count & (count - 1):
            sample, key = _sample(recorder, accounts)
            if sample.numel():
                pairs.offer(store, f"byhand/{number}/{count}/{key}", rank, count, sample)
        for then, mine, theirs in pairs.come(store, other):
            apart = _apart(mine, theirs)
            if apart:
                self.steps[number] = LAST
                index, site = recorder.index(), recorder.site()
                event = Apart(index, recorder.step, site, number, -1, other, then, apart)
                recorder.emit(event)
                return


def _sample(recorder: "Recorder", accounts: Sequence[Account]) -> tuple[torch.Tensor, str]:
    """Some elements of the parameters that have a gradient, then those of the gradients; and a key
    that only a sample of the same tensors bears."""
    parts: list[torch.Tensor] = []
    slopes: list[torch.Tensor] = []
    names: list[str] = []
    for account in accounts:
        tensor = account.ref()
        if tensor is None or tensor.grad is None or len(parts) >= TENSORS:
            continue
        values, slope = few(tensor), few(tensor.grad)
        if values is not None and slope is not None:
            parts.append(values)
            slopes.append(slope)
            names.append(f"{recorder.roster.name(account.number)}{tuple(tensor.shape)}")
    joined = torch.cat([*parts, *slopes]) if parts else torch.zeros(0)
    return joined, str(zlib.crc32(" ".join(names).encode()))


def _apart(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    """How far the parameters are apart where the gradients are the same; 0 where they are not."""
    if mine.shape != theirs.shape:
        return 0.0
    half = mine.numel() // 2
    slope = mine[half:]
    if int(slope.ne(0).sum()) < LEAST or not torch.equal(slope, theirs[half:]):
        return 0.0
    return distance(mine[:half], theirs[:half])
