"""Writes to parameters outside steps, and what they mean for the optimizer that goes on."""

from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Update, Write
from steplens.record import anew, rehoused
from steplens.record.account import Account, Living
from steplens.record.replaced import Replaced, compare, replacements
from steplens.record.revived import Zeroed
from steplens.record.rewound import Rewound

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 1 << 24  # elements kept of parameters written since the last step


class Probe:
    """A replaced tensor whose step is to be measured: its values before the step, and the updates
    that fresh state would make, and the same state without what it holds of the old values."""

    __slots__ = ("replaced", "before", "fresh", "cleared")

    def __init__(
        self,
        replaced: Replaced,
        before: torch.Tensor,
        optimizer: Any,
        tensor: torch.Tensor,
        told: int,
    ) -> None:
        self.replaced = replaced
        self.before = before
        self.fresh = anew.update(optimizer, tensor, told)
        self.cleared = anew.update(optimizer, tensor, told, replaced.mask)


class Replacements:
    """The parameters that optimizers with state hold, found by their storage, and the writes to
    them since the last step."""

    def __init__(self) -> None:
        self.storages = Living()
        self.open: dict[int, Replaced] = {}
        self.loaded: set[int] = set()  # optimizers whose state was loaded since their last step
        self.entered: dict[int, object] = {}  # optimizer -> the list of Accounts last entered
        self.before_last: dict[int, frozenset[int]] = {}  # tensors written before the last step
        self.constrained: tuple[int, ...] = ()
        self.told = 0
        self.rehoused = rehoused.Rehoused()
        self.zeroed = Zeroed()
        self.rewound = Rewound()

    # -- writes -------------------------------------------------------------------------------

    def about_to_write(
        self, recorder: "Recorder", tensor: torch.Tensor, how: str, generated: bool
    ) -> None:
        """Keep the values of a parameter that is about to be written by hand, once between two
        steps."""
        place = pointer(tensor)
        account = self.storages.get(place) if place else None
        if account is None:
            return
        held = account.ref()
        if held is None or pointer(held) != place:
            return
        known = self.open.get(account.number)
        if known is None:
            if held.numel() + sum([found.before.numel() for found in self.open.values()]) > MOST:
                return
            recorder.leave()
            known = Replaced(account, held.detach().clone(), how)
            known.site, known.caller = recorder.places.call(1)
            known.state = _state_counters(recorder, account)
            self.open[account.number] = known
        known.generated |= generated

    # -- steps --------------------------------------------------------------------------------

    def before_step(
        self, recorder: "Recorder", optimizer: Any, number: int, accounts: list[Account]
    ) -> list[Probe]:
        """Decide which writes were replacements with stale state, and keep what is needed to
        measure the step."""
        if number not in self.rewound.kept:
            with recorder.quiet(), torch.no_grad():
                self.rewound.first(optimizer, number, accounts)
        loaded = number in self.loaded
        self.loaded.discard(number)
        self.constrained = ()
        moved = self._rehoused(recorder, optimizer, number, accounts, loaded)
        if number in self.zeroed.waiting:
            moved += self._revived(recorder, optimizer, number, accounts)
        if not self.open:
            self.before_last.pop(number, None)
            return moved
        mine = [
            self.open.pop(account.number) for account in accounts if account.number in self.open
        ]
        written = frozenset(found.account.number for found in mine)
        if len(written) < len(accounts):  # of all of them: the model is put back each time
            self.constrained = tuple(written & self.before_last.get(number, frozenset()))
        self.before_last[number] = written
        mine = [found for found in mine if found.account.number not in self.constrained]
        if not mine or loaded:
            return moved
        with recorder.quiet(), torch.no_grad():
            moved += [
                Probe(found, tensor.detach().clone(), optimizer, tensor, self.told)
                for found in self._replaced(recorder, number, mine)
                if (tensor := found.account.ref()) is not None and _stale(optimizer, tensor, found)
            ]
            self.zeroed.put(number, mine)
            return moved

    def _replaced(
        self, recorder: "Recorder", number: int, written: list[Replaced]
    ) -> list[Replaced]:
        """The written tensors whose change was a replacement; a Write event tells of each."""
        changed = [found for found in written if compare(found)]
        held = [
            (found.account.number, tensor.detach(), found.mask)
            for found in changed
            if (tensor := found.account.ref()) is not None and found.mask is not None
        ]
        if self.rewound.back(number, recorder.steps.count.get(number, 0), held):
            for found in changed:
                found.how = "rewound"
        else:
            changed = replacements(changed)
        for found in changed:
            found.index = recorder.index()
            recorder.emit(_write(recorder, found))
        return changed

    def _revived(
        self, recorder: "Recorder", optimizer: Any, number: int, accounts: list[Account]
    ) -> list[Probe]:
        """The parameters of which a mask has set some elements to zero, and the state moves them
        since."""
        probes: list[Probe] = []
        with recorder.quiet(), torch.no_grad():
            for found in self.zeroed.take(recorder, number, accounts):
                tensor = found.account.ref()
                if tensor is None or found.account.number in self.open:
                    continue
                found.how, found.index = "zeroed", recorder.index()
                recorder.emit(_write(recorder, found))
                values = tensor.detach().clone()
                probes.append(Probe(found, values, optimizer, tensor, self.told))
        return probes

    def _rehoused(
        self,
        recorder: "Recorder",
        optimizer: Any,
        number: int,
        accounts: list[Account],
        loaded: bool,
    ) -> list[Probe]:
        """The parameters that ``p.data = t`` gave other values, with stale state."""
        with recorder.quiet(), torch.no_grad():
            count = recorder.steps.count.get(number, 0)
            moved = self.rehoused.moved(number, accounts, count, recorder.step)
            held = [(account.number, now, known.latest.ne(now)) for account, known, now in moved]
            back = bool(moved) and self.rewound.back(number, count, held)
            found = self.rehoused.replaced(number, moved, back)
            probes: list[Probe] = []
            for account, known in found if not loaded else ():
                tensor = account.ref()
                if tensor is None or account.number in self.open:
                    continue
                values = tensor.detach().clone()
                replaced = Replaced(account, values, "data")
                replaced.mask = torch.ones_like(values, dtype=torch.bool)
                if _stale(optimizer, tensor, replaced):
                    how = "rewound" if back else "data"
                    write = rehoused.told(recorder, account, known, tensor, how)
                    replaced.index = write.index
                    recorder.emit(write)
                    probes.append(Probe(replaced, values, optimizer, tensor, self.told))
            return probes

    def after_step(self, recorder: "Recorder", pending: Any) -> tuple[Update, ...]:
        """The updates of replaced tensors, beside those that fresh state would have made."""
        if not pending.probe:
            return ()
        updates: list[Update] = []
        with recorder.quiet(), torch.no_grad():
            for probe in pending.probe:
                tensor = probe.replaced.account.ref()
                if tensor is not None:
                    self.told += 1
                    updates.append(_update(probe, tensor))
        return tuple(updates)

    def learn(self, recorder: "Recorder", optimizer: Any, pending: Any) -> None:
        """Remember which storages an optimizer with state holds; read anew on the cadence, as
        ``p.data = ...`` gives a parameter another storage."""
        if not optimizer.state or "writes" in recorder.off:
            return
        if recorder.cadence.looking:
            with recorder.quiet(), torch.no_grad():
                count = recorder.steps.count.get(pending.number, 0)
                self.rehoused.looked(pending.number, pending.accounts, count)
        elif self.entered.get(pending.number) is pending.accounts:
            return
        self.entered[pending.number] = pending.accounts
        self.storages.thin()
        for account in pending.accounts:
            tensor = account.ref()
            place = pointer(tensor) if tensor is not None else 0
            if place:
                known = self.storages.get(place)
                if known is not None and known is not account:
                    recorder.registrations.one_memory(recorder, known, account)
                self.storages[place] = account


def pointer(tensor: torch.Tensor) -> int:
    """Where the tensor's storage lies, 0 for one that has none."""
    try:
        return tensor.untyped_storage().data_ptr()
    except Exception:  # fake, functional, batched, sparse and meta tensors
        return 0


def same_storage(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors share memory; False for tensors that have none."""
    place = pointer(one)
    return place != 0 and place == pointer(other)


def _update(probe: Probe, tensor: torch.Tensor) -> Update:
    found = probe.replaced
    mask = found.mask if found.mask is not None else torch.ones_like(tensor, dtype=torch.bool)
    update = (tensor.detach() - probe.before).double()
    moved, rest = update * mask, int((~mask).sum())
    ways = [(way * mask).double() for way in (probe.fresh, probe.cleared) if way is not None]
    return Update(
        found.account.number,
        float(moved.norm()),
        float((probe.before * mask).double().norm()),
        float(ways[0].norm()) if ways else None,
        int(mask.sum()),
        found.index,
        min([float((moved - way).norm()) for way in ways], default=None),
        float((update * ~mask).norm()) * (int(mask.sum()) / rest) ** 0.5 if rest else None,
    )


def _write(recorder: "Recorder", found: Replaced) -> Write:
    mask = found.mask
    return Write(
        found.index,
        recorder.step,
        found.site,
        found.account.number,
        found.how,
        mask.numel() if mask is not None else 0,
        int(mask.sum()) if mask is not None else 0,
        found.sums[0] ** 0.5,
        found.sums[1] ** 0.5,
        found.caller,
    )


def _state_counters(recorder: "Recorder", account: Account) -> dict[int, int]:
    """Write counters of the optimizers' tensors for this parameter, by identity, to see whether
    the author resets them as well."""
    tensor = account.ref()
    found: dict[int, int] = {}
    if tensor is None:
        return found
    for reference, number in list(recorder.census.optimizers.values()):
        optimizer = reference()
        if optimizer is None or number not in account.optimizers:
            continue
        for value in optimizer.state.get(tensor, {}).values():
            if isinstance(value, torch.Tensor):
                found[id(value)] = value._version
    return found


def _stale(optimizer: Any, tensor: torch.Tensor, found: Replaced) -> bool:
    """Whether the optimizer still holds moments of the values that were replaced, untouched by the
    author since."""
    held, mask = False, found.mask
    if mask is None:
        return False
    for value in optimizer.state.get(tensor, {}).values():
        if not isinstance(value, torch.Tensor) or value.shape != tensor.shape:
            continue
        if found.state and found.state.get(id(value)) != value._version:
            return False  # the author wrote to the state as well
        held |= bool((value * mask).ne(0).any())
    return held
