"""By hand: whether ranks whose gradients are the same to the last bit, in no
DistributedDataParallel, step the same model: what averages gradients copies no parameters.

At a few steps each rank puts a sample of both into the store through which the process group met,
and reads the next rank's once it is there. No collective is launched, and nothing is waited for.
"""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Apart
from steplens.record.account import Account
from steplens.record.ledger import values_of
from steplens.record.outside import distance, got, put

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS, ELEMENTS = 16, 8  # of a sample
LAST = 64  # step up to which samples are taken, and looked for
LEAST = 4  # elements whose gradient is not 0


class ByHand:
    """The samples put into the store, by optimizer, until the other rank's are found."""

    def __init__(self) -> None:
        self.steps: dict[int, int] = {}
        self.waiting: dict[int, dict[str, tuple[int, torch.Tensor]]] = {}

    def step(
        self,
        recorder: "Recorder",
        number: int,
        accounts: Sequence[Account],
        store: Any,
        where: tuple[int, int],
    ) -> None:
        """An optimizer none of whose tensors is in a wrapper is about to step."""
        count = self.steps.get(number, 0) + 1
        if count > LAST or where[1] < 2:
            self.waiting.pop(number, None)
            return
        self.steps[number] = count
        waiting = self.waiting.setdefault(number, {})
        rank, other = where[0], (where[0] + 1) % where[1]
        if count > 1 and not count & (count - 1):
            sample, key = _sample(recorder, accounts)
            if sample.numel():
                key = f"byhand/{number}/{count}/{key}"
                put(store, f"{key}/{rank}", sample)
                waiting[key] = count, sample
        for key, (then, sample) in list(waiting.items()):
            if store.check([f"{key}/{other}"]):
                del waiting[key]
                apart = _apart(sample, got(store, f"{key}/{other}"))
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
        values, slope = values_of(tensor), values_of(tensor.grad)
        if values is not None and slope is not None:
            parts.append(values.reshape(-1)[:ELEMENTS].float().cpu())
            slopes.append(slope.reshape(-1)[:ELEMENTS].float().cpu())
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
