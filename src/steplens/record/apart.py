"""Apart: whether a model that every rank holds a copy of is the same on the next rank: samples of
both are compared at a few steps (``pairs``)."""

import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from msgspec.structs import replace

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
            sample, key = _sample(accounts, wrapper, f"{number}/{count}")
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
                parted = _parted(_parts(accounts, wrapper), mine, theirs)
                late = parted and all(each in recorder.thaw.frozen for each in parted)
                recorder.emit(replace(event, parted=parted, late=bool(late)))
                return


def _copied(wrapper: Any, ranks: int) -> bool:
    """Whether a wrapper keeps the same parameters on all ranks: with no hook of the program's that
    exchanges them in its own way, over all ranks there are."""
    if getattr(wrapper, "_comm_hooks", None):
        return False
    return dist.get_world_size(wrapper.process_group) == ranks


def _sample(accounts: Sequence[Account], wrapper: Any, key: str) -> tuple[torch.Tensor, str]:
    """Some elements of the wrapper's parameters that this optimizer holds, and a key that only a
    sample of the same tensors bears."""
    parts = list(_parts(accounts, wrapper))
    if not parts:
        return torch.zeros(0), f"{key}/0"
    names = " ".join([name for _, name, _ in parts])
    return torch.cat([values for _, _, values in parts]), f"{key}/{zlib.crc32(names.encode())}"


def _parts(accounts: Sequence[Account], wrapper: Any) -> Iterator[tuple[int, str, torch.Tensor]]:
    """The tensors sampled: number, name and shape, elements."""
    own = {id(p): name for name, p in wrapper.module.named_parameters()}
    left_out = getattr(wrapper, "parameters_to_ignore", ())
    found = 0
    for account in accounts:
        tensor = account.ref()
        name = own.get(id(tensor), "")
        if tensor is None or not name or name in left_out or found >= TENSORS:
            continue
        values = few(tensor)
        if values is not None and tensor.requires_grad:
            found += 1
            yield account.number, f"{name}{tuple(tensor.shape)}", values


def _parted(
    parts: Iterator[tuple[int, str, torch.Tensor]], mine: torch.Tensor, theirs: torch.Tensor
) -> tuple[int, ...]:
    """Those whose elements differ in two samples, where others do not; () where all do, or where
    other tensors would be sampled by now."""
    sampled = [(number, values.numel()) for number, _, values in parts]
    sizes = [size for _, size in sampled]
    if sum(sizes) != mine.numel():
        return ()
    pairs = zip(sampled, mine.split(sizes), theirs.split(sizes), strict=True)
    apart = [number for (number, _), one, other in pairs if distance(one, other)]
    return tuple(apart) if len(apart) < len(sampled) else ()
