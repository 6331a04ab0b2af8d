"""Apart: whether a model that every rank holds a copy of is the same on the next rank: samples of
both are compared at a few steps (``pairs``)."""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from steplens.model.event import Apart
from steplens.record.account import Account
from steplens.record.outside import Outside
from steplens.record.pairs import Pairs, distance, few, shared_store
from steplens.record.ranks import place

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 64  # of a sample


class Copies:
    """The samples put into the store, by optimizer, until the other rank's are found."""

    def __init__(self) -> None:
        self.steps: dict[int, int] = {}
        self.waiting: dict[int, Pairs] = {}
        self.closed: set[int] = set()
        self.outside = Outside()

    def begin(
        self, recorder: "Recorder", number: int, accounts: Sequence[Account], wrapper: Any
    ) -> None:
        """An optimizer of the wrapper's parameters is about to step for the first time."""
        where = place()
        if where is not None and _copied(wrapper, where[1]):
            self.outside.begin(recorder, number, accounts, shared_store(), where[0])

    def step(
        self,
        recorder: "Recorder",
        number: int,
        accounts: Sequence[Account],
        wrapper: Any,
        averaged: bool,
    ) -> None:
        """An optimizer of the wrapper's parameters has stepped; whether on averaged gradients."""
        count = self.steps[number] = self.steps.get(number, 0) + 1
        if not averaged:
            self.closed.add(number)  # what was not averaged parts: SL701 tells
        where = place()
        if number in self.closed or where is None or not _copied(wrapper, where[1]):
            return
        if number in self.outside.known:
            module = recorder.census.module(wrapper)
            self.outside.step(recorder, number, module, shared_store(), where)
        pairs = self.waiting.setdefault(number, Pairs())
        due = count > 1 and not count & (count - 1)
        if not due and not pairs.waiting:
            return
        store, (rank, ranks) = shared_store(), where
        if due:
            sample, key = _sample(recorder, accounts, wrapper, f"{number}/{count}")
            pairs.offer(store, key, rank, count, sample)
        other = (rank + 1) % ranks
        for then, mine, theirs in pairs.come(store, other):
            apart = distance(mine, theirs)
            if apart:
                self.closed.add(number)
                pairs.waiting.clear()
                index, site = recorder.index(), recorder.site()
                module = recorder.census.module(wrapper)
                event = Apart(index, recorder.step, site, number, module, other, then, apart)
                recorder.emit(event)
                return


def _copied(wrapper: Any, ranks: int) -> bool:
    """Whether a wrapper keeps the same parameters on all ranks: with no hook of the program's that
    exchanges them in its own way, over all ranks there are."""
    if getattr(wrapper, "_comm_hooks", None):
        return False
    return dist.get_world_size(wrapper.process_group) == ranks


def _sample(
    recorder: "Recorder", accounts: Sequence[Account], wrapper: Any, key: str
) -> tuple[torch.Tensor, str]:
    """Some elements of the wrapper's parameters that this optimizer holds, and a key that only a
    sample of the same tensors bears."""
    own = {id(p): name for name, p in wrapper.module.named_parameters()}
    left_out = getattr(wrapper, "parameters_to_ignore", ())
    parts: list[torch.Tensor] = []
    names: list[str] = []
    for account in accounts:
        tensor = account.ref()
        name = own.get(id(tensor), "")
        if tensor is None or not name or name in left_out or len(parts) >= TENSORS:
            continue
        values = few(tensor)
        if values is not None and tensor.requires_grad:
            parts.append(values)
            names.append(f"{name}{tuple(tensor.shape)}")
    if not parts:
        return torch.zeros(0), f"{key}/0"
    return torch.cat(parts), f"{key}/{zlib.crc32(' '.join(names).encode())}"
