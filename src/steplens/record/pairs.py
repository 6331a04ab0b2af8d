"""Pairs: samples that two ranks compare through the store in which their process group met.

Each rank puts its own there and reads the next rank's once it is there. No collective is launched,
and nothing is waited for.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist

from steplens.record.ledger import values_of

ELEMENTS = 8  # of a tensor
CHECKS = 64  # times that one of the other rank's is looked for
WAITING = 8  # of them at a time
LEAST = 1e-3  # of the sample's largest value: less may be rounding on other hardware
PREFIX = "steplens/apart"


class Pairs:
    """The samples that this rank has put there, until the other rank's are found."""

    def __init__(self) -> None:
        self.waiting: dict[str, tuple[int, torch.Tensor, int]] = {}

    def offer(self, store: Any, key: str, rank: int, count: int, sample: torch.Tensor) -> None:
        """Put this rank's sample of the step ``count`` there, unless many are waiting."""
        if len(self.waiting) < WAITING:
            put(store, f"{key}/{rank}", sample)
            self.waiting[key] = count, sample, 0

    def come(
        self, store: Any, other: int, patient: bool = False
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """The steps of which the other rank's sample is there by now, this one's and that. After
        some looks one is given up, unless the look is a patient one."""
        for key, (count, sample, checks) in list(self.waiting.items()):
            if store.check([f"{key}/{other}"]):
                del self.waiting[key]
                yield count, sample, got(store, f"{key}/{other}")
            elif patient or checks < CHECKS:
                self.waiting[key] = count, sample, checks + (not patient)
            else:
                del self.waiting[key]


def shared_store() -> Any:
    """The store through which the default group met, under a prefix of ours."""
    store: Any = getattr(dist.distributed_c10d, "_get_default_store", lambda: None)
    return dist.PrefixStore(PREFIX, store())


def few(tensor: torch.Tensor) -> torch.Tensor | None:
    """Some elements of a tensor; None where its values cannot be read."""
    values = values_of(tensor)
    return None if values is None else values.detach().reshape(-1)[:ELEMENTS].float().cpu()


def put(store: Any, key: str, sample: torch.Tensor) -> None:
    """Let the other ranks read a sample, bit for bit."""
    store.set(key, " ".join(value.hex() for value in sample.tolist()))


def got(store: Any, key: str) -> torch.Tensor:
    """The sample that a rank has put there."""
    return torch.tensor([float.fromhex(word) for word in store.get(key).decode().split()])


def distance(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference of two samples; 0 where it may be rounding."""
    if mine.shape != theirs.shape or not mine.numel():
        return 0.0
    apart = float((mine - theirs).abs().max())
    return apart if apart > LEAST * float(mine.abs().max()) else 0.0


def launched() -> int:
    """How many collectives were launched in all process groups; -1 where they are not counted."""
    try:
        groups: Any = dist.distributed_c10d._world.pg_map
        return sum([group._get_sequence_number_for_group() for group in groups])
    except (AttributeError, RuntimeError):  # another torch, or a backend without numbers
        return -1
