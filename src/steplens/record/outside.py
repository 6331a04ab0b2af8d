"""Outside: parameters that an optimizer holds beside those of a DistributedDataParallel, in no
wrapper themselves: were they alike on two ranks before the first step, and do they part?"""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.parallel import DistributedDataParallel

from steplens.model.event import Apart
from steplens.record.account import Account
from steplens.record.ledger import values_of
from steplens.record.pairs import distance, few, got, put

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 16  # of a sample
STEPS = 64  # at which the other rank's is looked for


class Known:
    """One optimizer's: its sample before the first step, and after the one that is compared."""

    __slots__ = ("accounts", "key", "start", "later", "count")

    def __init__(self, accounts: list[Account], key: str, start: torch.Tensor) -> None:
        self.accounts = accounts
        self.key = key
        self.start = start
        self.later: torch.Tensor | None = None
        self.count = 0


class Outside:
    """The samples put into the store, by optimizer; each is told of once at most."""

    def __init__(self) -> None:
        self.known: dict[int, Known] = {}

    def begin(
        self,
        recorder: "Recorder",
        number: int,
        accounts: Sequence[Account],
        store: Any,
        rank: int,
    ) -> None:
        """An optimizer is about to step for the first time."""
        self.known.pop(number, None)
        found = [account for account in accounts if _alone(recorder, account)][:TENSORS]
        if not found:
            return
        shapes = [f"{recorder.roster.name(a.number)}{tuple(_shape(a))}" for a in found]
        key = f"outside/{number}/{zlib.crc32(' '.join(shapes).encode())}"
        known = self.known[number] = Known(found, key, _sample(found))
        put(store, f"{key}/0/{rank}", known.start)

    def step(
        self,
        recorder: "Recorder",
        number: int,
        wrapper: int,
        store: Any,
        where: tuple[int, int],
    ) -> None:
        """An optimizer has stepped on averaged gradients."""
        known = self.known.get(number)
        if known is None:
            return
        rank, other = where[0], (where[0] + 1) % where[1]
        known.count += 1
        if known.count == 2:
            known.later = _sample(known.accounts)
            put(store, f"{known.key}/2/{rank}", known.later)
        if known.later is None or not store.check([f"{known.key}/2/{other}"]):
            if known.count > STEPS:
                del self.known[number]
            return
        del self.known[number]
        before = distance(known.start, got(store, f"{known.key}/0/{other}"))
        after = distance(known.later, got(store, f"{known.key}/2/{other}"))
        if not before and after:
            tensors = tuple([account.number for account in known.accounts])
            index, site = recorder.index(), recorder.site()
            recorder.emit(
                Apart(index, recorder.step, site, number, wrapper, other, 2, after, tensors)
            )


def _alone(recorder: "Recorder", account: Account) -> bool:
    """Whether a trained parameter belongs to no module, or to one that no wrapper holds."""
    tensor, roster = account.ref(), recorder.roster
    if tensor is None or not tensor.requires_grad or values_of(tensor) is None:
        return False
    module = roster.tensors[account.number].module
    while module >= 0:
        if isinstance(recorder.census.module_at(module), DistributedDataParallel):
            return False
        module = roster.modules[module].parent
    return True


def _shape(account: Account) -> tuple[int, ...]:
    tensor = account.ref()
    return tuple(tensor.shape) if tensor is not None else ()


def _sample(accounts: list[Account]) -> torch.Tensor:
    parts = [torch.zeros(0)]
    for account in accounts:
        tensor = account.ref()
        sample = few(tensor) if tensor is not None else None
        if sample is not None:
            parts.append(sample)
    return torch.cat(parts)
