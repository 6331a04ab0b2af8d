"""Apart: whether a model that every rank holds a copy of is the same on the next rank.

At a few steps each rank puts a sample of its copy into the store through which the process group
met, and reads the next rank's once it is there. No collective is launched, and nothing is waited
for.
"""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

from steplens.model.event import Apart
from steplens.record.account import Account
from steplens.record.ledger import values_of
from steplens.record.outside import Outside, distance, got, put
from steplens.record.ranks import place

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS, ELEMENTS = 64, 8  # of a sample
CHECKS = 64  # steps at which one of the other rank's is looked for
WAITING = 8  # of them at a time
PREFIX = "steplens/apart"


class Copies:
    """The samples put into the store, by optimizer, until the other rank's are found."""

    def __init__(self) -> None:
        self.steps: dict[int, int] = {}
        self.waiting: dict[int, dict[str, tuple[int, torch.Tensor, int]]] = {}
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
        waiting = self.waiting.setdefault(number, {})
        due = count > 1 and not count & (count - 1)
        if not due and not waiting:
            return
        mine = shared_store()
        rank, ranks = where
        if due and len(waiting) < WAITING:
            sample, key = _sample(recorder, accounts, wrapper, f"{number}/{count}")
            put(mine, f"{key}/{rank}", sample)
            waiting[key] = count, sample, 0
        self._compare(recorder, number, wrapper, mine, (rank + 1) % ranks)

    def _compare(
        self, recorder: "Recorder", number: int, wrapper: Any, store: Any, other: int
    ) -> None:
        waiting = self.waiting[number]
        for key, (count, sample, checks) in list(waiting.items()):
            if not store.check([f"{key}/{other}"]):
                waiting[key] = count, sample, checks + 1
                if checks >= CHECKS:
                    del waiting[key]
                continue
            del waiting[key]
            apart = distance(sample, got(store, f"{key}/{other}"))
            if apart:
                self.closed.add(number)
                waiting.clear()
                index, site = recorder.index(), recorder.site()
                module = recorder.census.module(wrapper)
                event = Apart(index, recorder.step, site, number, module, other, count, apart)
                recorder.emit(event)
                return


def shared_store() -> Any:
    """The store through which the default group met, under a prefix of ours."""
    store: Any = getattr(dist.distributed_c10d, "_get_default_store", lambda: None)
    return dist.PrefixStore(PREFIX, store())


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
        values = values_of(tensor)
        if values is not None and tensor.requires_grad:
            parts.append(values.reshape(-1)[:ELEMENTS].float().cpu())
            names.append(f"{name}{tuple(tensor.shape)}")
    if not parts:
        return torch.zeros(0), f"{key}/0"
    return torch.cat(parts), f"{key}/{zlib.crc32(' '.join(names).encode())}"
