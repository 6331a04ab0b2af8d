"""Snapshot: the training state now, each part under the user's own name."""

import weakref
from math import prod

import torch
from torch import nn

from steplens.model.state import Digest, Snapshot, Whose
from steplens.record.account import Account
from steplens.record.census import Census, tensors_of
from steplens.record.copies import PLAIN, ROOM, Copies, copied
from steplens.record.digest import digest, dtype_name, shape_of, version
from steplens.record.plain import plain

TRUSTED = 4096  # elements from which on a tensor whose write counter stands still is not read again
SMALL = 16 * 8  # bytes of a tensor that is read at every line

Key = tuple[str, str]


class Seen:
    """A tensor as it was last read: its identity, write counter, size, Digest and, where a copy is
    kept, its bytes."""

    __slots__ = ("identity", "counter", "large", "digest", "data")

    def __init__(self, identity: int, counter: int, found: Digest, data: bytearray | None) -> None:
        self.identity = identity
        self.counter = counter
        self.large = prod(found.shape) > TRUSTED
        self.digest = found
        self.data = data


class Slot:
    """The names of one tensor's parts."""

    __slots__ = ("account", "value", "gradient", "trainable")

    def __init__(self, account: Account, role: str, name: str) -> None:
        self.account = account
        self.value: Key = (role, name)
        leads = role == "parameter"
        self.gradient: Key | None = ("gradient", f"{name}.grad") if leads else None
        self.trainable: Key | None = ("trainable", name) if leads else None


class Camera:
    """Takes Snapshots of everything the Census knows.

    A tensor of more than 4096 elements is read again only when its identity or write counter has
    moved (a write through ``.data`` to such a tensor is noticed when the next counted write comes);
    smaller ones are read every time, those of an optimizer where a step may have ended. With
    ``later``, what a Digest says of small tensors is counted when ``count`` is called.
    """

    def __init__(self, census: Census, later: bool = False) -> None:
        self.census = census
        self.later = later
        self.copies = Copies()
        self.room = ROOM  # bytes of tensors as last read that may still be kept
        self.cache: dict[tuple[int, object], Seen] = {}
        self.print: list[object] = []
        self.whose: dict[Key, Whose] = {}
        self.stepped = True
        self.known = -1  # the census's changes when the names below were made
        self.slots: list[Slot] = []
        self.modes: list[tuple[weakref.ref[nn.Module], Key]] = []
        self.of_names: dict[Key, Whose] = {}
        self.subjects: dict[tuple[int, int, object], tuple[Key, Whose]] = {}

    def count(self) -> None:
        """Count what waits to be counted."""
        self.copies.count()

    def clear(self) -> None:
        """Forget what was read."""
        self.cache.clear()
        self.room = ROOM

    def moved(self) -> bool:
        """Whether anything may have changed since the last call: counters, identities, flags, small
        values."""
        now = self._fingerprint()
        changed = now != self.print
        self.print = now
        return changed

    def _fingerprint(self) -> list[object]:
        found: list[object] = [torch.is_grad_enabled()]
        for account in list(self.census.accounts.values()):
            tensor = account.ref()
            if tensor is None:
                continue
            gradient = tensor.grad if tensor.is_leaf else None
            found += (account.number, version(tensor), id(gradient), tensor.requires_grad)
            small = (tensor.numel() if type(tensor) in PLAIN else prod(shape_of(tensor))) <= 16
            if gradient is not None:
                found.append(version(gradient))
                if small:
                    found.append(copied(gradient, SMALL) or digest(gradient).bits)
            if small:
                found.append(copied(tensor, SMALL) or digest(tensor).bits)
        found += [module.training for module in self.census.alive()]
        for reference, number in list(self.census.optimizers.values()):
            optimizer = reference()
            if optimizer is not None:
                found += (number, len(optimizer.state))
                for group in optimizer.param_groups:
                    rate = group.get("lr")
                    found.append(rate if type(rate) is float else str(rate))
        return found

    def take(self, stepped: bool = True) -> Snapshot:
        """The Snapshot now; ``stepped`` says that an optimizer's step may have ended since the last
        one. Waits for the device."""
        self._rename()
        self.stepped = stepped
        tensors: dict[Key, Digest | None] = {}
        flags: dict[Key, bool | int | float | str] = {
            ("grad-mode", "grad mode"): torch.is_grad_enabled()
        }
        self.whose = dict(self.of_names)
        for slot in self.slots:
            self._tensor(slot, tensors, flags)
        for reference, key in self.modes:
            module = reference()
            if module is not None:
                flags[key] = "train" if module.training else "eval"
            else:
                self.whose.pop(key, None)
        for reference, number in list(self.census.optimizers.values()):
            optimizer = reference()
            if optimizer is not None:
                self._optimizer(optimizer, number, tensors, flags)
        if not self.later:
            self.count()
        return Snapshot(tensors, flags, self.whose)

    def _rename(self) -> None:
        """Make the names of all parts, if anything has come, gone or been named since."""
        if self.known == self.census.changes:
            return
        self.known = self.census.changes
        roster = self.census.roster
        self.slots, self.modes, self.subjects = [], [], {}
        titles, self.of_names = roster.titles(), {}
        for account in sorted(self.census.accounts.values(), key=lambda known: known.number):
            entry = roster.tensors[account.number]
            if entry.role == "leaf" or account.ref() is None:
                continue
            slot, whose = Slot(account, entry.role, titles[account.number]), Whose(account.number)
            self.slots.append(slot)
            for key in (slot.value, slot.gradient, slot.trainable):
                if key is not None:
                    self.of_names[key] = whose
        for reference, number in list(self.census.modules.values()):
            if reference() is not None and number in roster.modules:
                key = ("mode", roster.module_name(number))
                self.modes.append((reference, key))
                self.of_names[key] = Whose(number)

    def _tensor(
        self,
        slot: Slot,
        tensors: dict[Key, Digest | None],
        flags: dict[Key, bool | int | float | str],
    ) -> None:
        tensor, number = slot.account.ref(), slot.account.number
        if tensor is None:
            return
        tensors[slot.value] = self._read((number, "value"), tensor)
        if slot.gradient is not None and slot.trainable is not None:
            flags[slot.trainable] = tensor.requires_grad
            gradient = tensor.grad
            tensors[slot.gradient] = (
                None if gradient is None else self._read((number, "gradient"), gradient)
            )

    def _read(self, key: tuple[int, object], tensor: torch.Tensor, trusted: bool = False) -> Digest:
        seen, counter = self.cache.get(key), version(tensor)
        held = 0 if seen is None or seen.data is None else len(seen.data)
        still = seen is not None and seen.identity == id(tensor) and seen.counter == counter
        if seen is not None and still and (seen.large or trusted):
            return seen.digest
        data = copied(tensor, self.room + held)
        if seen is None and data is not None:
            found = self._put(tensor, counter, data)
        elif seen is None or seen.data is None or data is None:
            if seen is not None and seen.digest.bits < 0:
                self.count()
            found = digest(tensor, seen.digest if seen is not None else None)
        elif data != seen.data or tensor.shape != seen.digest.shape:
            found = self._put(tensor, counter, data)
        elif counter != seen.digest.version:
            found = self.copies.again(seen.digest, tensor.dtype, counter, data)
        else:
            found = seen.digest
        self.room += held - (len(data) if data is not None else 0)
        self.cache[key] = Seen(id(tensor), counter, found, data)
        return found

    def _put(self, tensor: torch.Tensor, counter: int, data: bytearray) -> Digest:
        name, shape = dtype_name(tensor.dtype), tuple(tensor.shape)
        return self.copies.put(name, tensor.dtype, shape, counter, data)

    def _optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        number: int,
        tensors: dict[tuple[str, str], Digest | None],
        flags: dict[tuple[str, str], bool | int | float | str],
    ) -> None:
        entry = self.census.roster.optimizers[number]
        label = entry.label or entry.type
        for position, group in enumerate(optimizer.param_groups):
            which = f"[{position}]" if len(optimizer.param_groups) > 1 else ""
            rate = plain(group.get("lr"))
            if isinstance(rate, (int, float)):
                flags["optimizer", f"{label}.lr{which}"] = float(rate)
                self.whose["optimizer", f"{label}.lr{which}"] = Whose(-1, number, "lr", position)
        for tensor in tensors_of(optimizer):
            held = optimizer.state.get(tensor)
            account = self.census.known(tensor) if held else None
            if account is None or held is None:
                continue
            for key, value in held.items():
                part = self.subjects.get((number, account.number, key))
                if part is None:
                    subject = f"{label}.{key}[{self.census.roster.name(account.number)}]"
                    part = ("optimizer", subject), Whose(account.number, number, str(key))
                    self.subjects[number, account.number, key] = part
                self.whose[part[0]] = part[1]
                if isinstance(value, torch.Tensor):
                    place = (number, (account.number, key))
                    tensors[part[0]] = self._read(place, value, not self.stepped)
                elif (known := plain(value)) is not None and not isinstance(known, str):
                    flags[part[0]] = known
