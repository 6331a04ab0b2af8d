"""Snapshot: the training state now, each part under the user's own name."""

from math import prod

import torch

from steplens.model.roster import Roster
from steplens.model.state import Digest, Snapshot, Whose
from steplens.record.account import Account
from steplens.record.census import Census, tensors_of
from steplens.record.digest import digest, shape_of, version
from steplens.record.plain import plain

TRUSTED = 4096  # elements from which on a tensor whose write counter stands still is not read again


class Camera:
    """Takes Snapshots of everything the Census knows.

    A tensor of more than 4096 elements is read again only when its identity or write counter has
    moved (a write through ``.data`` to such a tensor is noticed when the next counted write comes);
    smaller ones are read every time.
    """

    def __init__(self, census: Census) -> None:
        self.census = census
        self.cache: dict[tuple[str, str], tuple[int, int, Digest]] = {}
        self.print: list[int] = []
        self.whose: dict[tuple[str, str], Whose] = {}

    def moved(self) -> bool:
        """Whether anything may have changed since the last call: counters, identities, flags, small
        values."""
        now = self._fingerprint()
        changed = now != self.print
        self.print = now
        return changed

    def _fingerprint(self) -> list[int]:
        found: list[int] = [int(torch.is_grad_enabled())]
        for account in list(self.census.accounts.values()):
            tensor = account.ref()
            if tensor is None:
                continue
            gradient = tensor.grad if tensor.is_leaf else None
            found += (account.number, version(tensor), id(gradient), int(tensor.requires_grad))
            small = prod(shape_of(tensor)) <= 16
            if gradient is not None:
                found.append(version(gradient))
                if small:
                    found.append(digest(gradient).bits)
            if small:
                found.append(digest(tensor).bits)
        for module in self.census.alive():
            found.append(int(module.training))
        for reference, number in list(self.census.optimizers.values()):
            optimizer = reference()
            if optimizer is not None:
                found += (
                    number,
                    len(optimizer.state),
                    *[hash(str(g.get("lr"))) for g in optimizer.param_groups],
                )
        return found

    def take(self) -> Snapshot:
        """The Snapshot now. Waits for the device."""
        roster = self.census.roster
        tensors: dict[tuple[str, str], Digest | None] = {}
        flags: dict[tuple[str, str], bool | int | float | str] = {
            ("grad-mode", "grad mode"): torch.is_grad_enabled()
        }
        self.whose = {}
        for account in sorted(self.census.accounts.values(), key=lambda known: known.number):
            self._tensor(account, roster, tensors, flags)
        self._modes(roster, flags)
        for reference, number in list(self.census.optimizers.values()):
            optimizer = reference()
            if optimizer is not None:
                self._optimizer(optimizer, number, tensors, flags)
        return Snapshot(tensors, flags, self.whose)

    def _tensor(
        self,
        account: Account,
        roster: Roster,
        tensors: dict[tuple[str, str], Digest | None],
        flags: dict[tuple[str, str], bool | int | float | str],
    ) -> None:
        tensor = account.ref()
        entry = roster.tensors[account.number]
        if tensor is None or entry.role == "leaf":
            return
        name = roster.name(account.number)
        key = (entry.role, name)
        whose = Whose(account.number)
        tensors[key] = self._read(key, tensor)
        self.whose[key] = whose
        if entry.role == "parameter":
            flags["trainable", name] = tensor.requires_grad
            gradient = tensor.grad
            key = ("gradient", f"{name}.grad")
            tensors[key] = None if gradient is None else self._read(key, gradient)
            self.whose[key] = self.whose["trainable", name] = whose

    def _read(self, key: tuple[str, str], tensor: torch.Tensor) -> Digest:
        known = self.cache.get(key)
        counter = version(tensor)
        same = known is not None and known[:2] == (id(tensor), counter)
        if known is not None and same and prod(known[2].shape) > TRUSTED:
            return known[2]
        found = digest(tensor, known[2] if known is not None else None)
        self.cache[key] = (id(tensor), counter, found)
        return found

    def _modes(
        self, roster: Roster, flags: dict[tuple[str, str], bool | int | float | str]
    ) -> None:
        for reference, number in list(self.census.modules.values()):
            module = reference()
            if module is not None and number in roster.modules:
                key = ("mode", roster.module_name(number))
                flags[key] = "train" if module.training else "eval"
                self.whose[key] = Whose(number)

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
            account = self.census.known(tensor)
            if account is None:
                continue
            for key, value in optimizer.state.get(tensor, {}).items():
                subject = f"{label}.{key}[{self.census.roster.name(account.number)}]"
                self.whose["optimizer", subject] = Whose(account.number, number, str(key))
                if isinstance(value, torch.Tensor):
                    tensors["optimizer", subject] = self._read(("optimizer", subject), value)
                elif (known := plain(value)) is not None and not isinstance(known, str):
                    flags["optimizer", subject] = known
