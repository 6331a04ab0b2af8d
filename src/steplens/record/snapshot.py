"""Snapshot: the training state now, each part under the user's own name."""

import weakref
from math import prod
from types import NoneType
from typing import Any

import torch
from torch import nn

from steplens.model.state import NOBODY, Change, Digest, Snapshot, Whose
from steplens.record.account import Account
from steplens.record.census import Census
from steplens.record.copies import copied
from steplens.record.digest import digest, shape_of, version
from steplens.record.plain import plain
from steplens.record.shelf import SMALL, TRUSTED, Memory, Move, Shelf
from steplens.record.states import States

__all__ = ["TRUSTED", "Camera"]

Key = tuple[str, str]
Flags = dict[Key, bool | int | float | str]
Changed = tuple[Key, Digest | None, Digest | None]
WHOLE = 1 << 17  # elements of all tensors that are read at a line which may go past the counters
GRAD_MODE: Key = ("grad-mode", "grad mode")


class Names:
    """What the parts of one tensor are called."""

    __slots__ = ("value", "gradient", "trainable", "whose")

    def __init__(self, number: int, role: str, name: str) -> None:
        self.value: Key = (role, name)
        self.gradient: Key = ("gradient", f"{name}.grad")
        self.trainable: Key = ("trainable", name)
        keys = [self.value, self.gradient, self.trainable] if role == "parameter" else [self.value]
        self.whose = dict.fromkeys(keys, Whose(number))


class Camera:
    """Reads the state of everything the Census knows, and tells what has changed.

    A tensor of more than 4096 elements is read again only when its identity or write counter has
    moved (a write through ``.data`` to such a tensor is noticed when the next counted write comes,
    or, of a small model, at the end of its line);
    smaller ones are read every time, those of an optimizer where a step may have ended. With
    ``later``, what a Digest says of small tensors is counted when ``count`` is called.
    """

    def __init__(self, census: Census, later: bool = False) -> None:
        self.census = census
        self.later = later
        self.accounts: list[Account] = []  # those with a name
        self.values: list[Key] = []  # what they are called
        self.leads: list[int] = []  # which of them are parameters
        self.gradients: list[Key] = []
        self.trainable: list[Key] = []
        self.leaves: list[Account] = []  # those without a name
        self.modes: list[tuple[weakref.ref[nn.Module], Key]] = []
        self.of_names: dict[Key, Whose] = {}
        self.requires: list[bool] = []
        self.print: list[object] = []
        self.clear()

    def count(self) -> None:
        """Count what waits to be counted."""
        self.memory.copies.count()

    def clear(self) -> None:
        """Forget what was read."""
        self.known = -1  # the census's changes when the names were made
        self.memory = Memory()
        self.held, self.slopes = Shelf(self.memory), Shelf(self.memory)
        self.states: dict[int, States] = {}
        self.named: dict[int, Names] = {}
        self.last = Snapshot({}, {})

    # -- whether anything has changed ---------------------------------------------------------

    def moved(self) -> bool:
        """Whether anything may have changed since the last look: what there is, counters,
        identities, flags, small values."""
        if self.known != self.census.changes:
            return True
        tensors = [account.ref() for account in self.accounts]
        if NoneType in map(type, tensors):
            return True
        leading: list[Any] = [tensors[place] for place in self.leads]
        return (
            [tensor.requires_grad for tensor in leading] != self.requires
            or self.held.moved(tensors)
            or self.slopes.moved([tensor.grad for tensor in leading])
            or self._fingerprint() != self.print
        )

    def _fingerprint(self) -> list[object]:
        """What lies on no shelf: modes, optimizers, and tensors without a name."""
        found: list[object] = [torch.is_grad_enabled()]
        for account in self.leaves:
            tensor = account.ref()
            if tensor is None:
                continue
            gradient = tensor.grad if tensor.is_leaf else None
            found += (account.number, version(tensor), id(gradient), tensor.requires_grad)
            small = prod(shape_of(tensor)) <= SMALL
            if gradient is not None:
                found.append(version(gradient))
                if small:
                    found.append(copied(gradient, 8 * SMALL) or digest(gradient).bits)
            if small:
                found.append(copied(tensor, 8 * SMALL) or digest(tensor).bits)
        found += [module.training for module in self.census.alive()]
        for reference, number in list(self.census.optimizers.values()):
            optimizer = reference()
            if optimizer is not None:
                found += (number, len(optimizer.state))
                for group in optimizer.param_groups:
                    rate = group.get("lr")
                    found.append(rate if type(rate) is float else str(rate))
        return found

    # -- what has changed ---------------------------------------------------------------------

    def take(self, stepped: bool = True) -> Snapshot:
        """The Snapshot now; ``stepped`` says that an optimizer's step may have ended since the last
        one. Waits for the device."""
        self.look(stepped)
        if not self.later:
            self.count()
        last = self.last
        return Snapshot(dict(last.tensors), dict(last.flags), dict(last.whose))

    def small(self) -> bool:
        """Whether the named tensors that were read hold so few elements that all of them may be
        read at a line."""
        return sum([seen.elements for seen in self.held.seen if seen is not None]) <= WHOLE

    def look(self, stepped: bool = True, whole: bool = False) -> tuple[Change, ...]:
        """What has changed since the last look; ``stepped`` as for ``take``. The ``whole`` of them
        is read where counters may stand still."""
        anew, tensors = self._alive()
        leading: list[Any] = [tensors[place] for place in self.leads]
        slopes = self.slopes.read([tensor.grad for tensor in leading], whole=whole)
        changed = self._merged(self.held.read(tensors, whole=whole), slopes)
        self.requires = [tensor.requires_grad for tensor in leading]
        del tensors, leading
        flags: Flags = {GRAD_MODE: torch.is_grad_enabled()}
        flags.update(zip(self.trainable, self.requires, strict=True))
        for reference, key in self.modes:
            module = reference()
            if module is not None:
                flags[key] = "train" if module.training else "eval"
        rates: dict[Key, Whose] = {}
        alive: dict[int, States] = {}
        for reference, number in list(self.census.optimizers.values()):
            optimizer = reference()
            if optimizer is not None:
                states = self.states.get(number) or States(self.memory, number)
                alive[number] = states
                anew |= self._optimizer(optimizer, states, stepped, changed, flags, rates)
        anew |= alive.keys() != self.states.keys() or flags.keys() != self.last.flags.keys()
        self.states, self.print = alive, self._fingerprint()
        return self._whole(changed, flags, rates) if anew else self._since(changed, flags)

    def _alive(self) -> tuple[bool, list[Any]]:
        """The tensors with a name, and whether there are others than at the last look."""
        anew = False
        while True:
            if self.known != self.census.changes:
                anew = True
                self._rename()
            tensors = [account.ref() for account in self.accounts]
            if NoneType not in map(type, tensors):
                return anew, tensors
            self.known = -1  # one has just died on another thread

    def _rename(self) -> None:
        """Make the names of all parts: something has come, gone or been named."""
        self.known = self.census.changes
        roster = self.census.roster
        self.accounts, self.leaves, self.modes, self.of_names = [], [], [], {}
        self.values, self.gradients, self.trainable, self.leads = [], [], [], []
        titles = roster.titles()
        for account in sorted(self.census.accounts.values(), key=lambda known: known.number):
            entry = roster.tensors[account.number]
            if account.ref() is None:
                continue
            if entry.role == "leaf":
                self.leaves.append(account)
                continue
            kind = entry.role, titles[account.number]
            named = self.named.get(account.number)
            if named is None or named.value != kind:
                named = self.named[account.number] = Names(account.number, *kind)
            if entry.role == "parameter":
                self.leads.append(len(self.accounts))
                self.gradients.append(named.gradient)
                self.trainable.append(named.trainable)
            self.values.append(named.value)
            self.accounts.append(account)
            self.of_names.update(named.whose)
        for reference, number in list(self.census.modules.values()):
            if reference() is not None and number in roster.modules:
                key = ("mode", roster.module_name(number))
                self.modes.append((reference, key))
                self.of_names[key] = Whose(number)
        self.held.arrange([account.number for account in self.accounts])
        self.slopes.arrange([self.accounts[place].number for place in self.leads])

    def _merged(self, values: list[Move], slopes: list[Move]) -> list[Changed]:
        """In the order of the tensors, each before its gradient."""
        found = [(place, 0, self.values[place], was, now) for place, was, now in values]
        leads = self.leads
        found += [(leads[place], 1, self.gradients[place], was, now) for place, was, now in slopes]
        found.sort(key=lambda each: each[:2])
        return [each[2:] for each in found]

    def _optimizer(
        self,
        optimizer: torch.optim.Optimizer,
        states: States,
        stepped: bool,
        changed: list[Changed],
        flags: Flags,
        rates: dict[Key, Whose],
    ) -> bool:
        """Read an optimizer's options and state; whether it holds other parts than before."""
        entry = self.census.roster.optimizers[states.number]
        label = entry.label or entry.type
        several = len(optimizer.param_groups) > 1
        for position, group in enumerate(optimizer.param_groups):
            rate = plain(group.get("lr"))
            if isinstance(rate, (int, float)):
                key: Key = ("optimizer", f"{label}.lr{f'[{position}]' if several else ''}")
                flags[key] = float(rate)
                rates[key] = Whose(-1, states.number, "lr", position)
        values, anew = states.values(optimizer, self.census, label)
        tensors = [value if isinstance(value, torch.Tensor) else None for value in values]
        parts = states.parts
        moves = states.shelf.read(tensors, trusted=not stepped)
        changed += [(parts[place][0], was, now) for place, was, now in moves]
        if NoneType in map(type, tensors):
            for (key, _), value, tensor in zip(parts, values, tensors, strict=True):
                known = plain(value) if tensor is None else None
                if known is not None and not isinstance(known, str):
                    flags[key] = known
        return anew

    def _since(self, changed: list[Changed], flags: Flags) -> tuple[Change, ...]:
        """The changes of the parts that there were before."""
        last = self.last
        last.tensors.update([(key, now) for key, _, now in changed])
        if flags == last.flags:
            return self._told(changed, {}, {})
        before = dict(last.flags)
        last.flags.update(flags)
        return self._told(changed, before, flags)

    def _told(self, changed: list[Changed], before: Flags, flags: Flags) -> tuple[Change, ...]:
        whose = self.last.whose
        found = [
            Change(*key, before=was, after=now, whose=whose.get(key, NOBODY))
            for key, was, now in changed
            if was is None or now is None or not was.same(now)
        ]
        found += [
            Change(*key, before=before[key], after=now, whose=whose.get(key, NOBODY))
            for key, now in flags.items()
            if key in before and before[key] != now
        ]
        return tuple(found)

    def _whole(
        self, changed: list[Changed], flags: Flags, rates: dict[Key, Whose]
    ) -> tuple[Change, ...]:
        """The changes where parts have come, gone or got other names."""
        tensors: dict[Key, Digest | None] = {}
        slopes = dict(zip(self.leads, self.slopes.seen, strict=True))
        names = dict(zip(self.leads, self.gradients, strict=True))
        for place, seen in enumerate(self.held.seen):
            tensors[self.values[place]] = seen.digest if seen is not None else None
            if place in names:
                slope = slopes[place]
                tensors[names[place]] = slope.digest if slope is not None else None
        whose = dict(self.of_names)
        for reference, key in self.modes:
            if reference() is None:
                whose.pop(key, None)
        whose.update(rates)
        for states in self.states.values():
            whose.update(states.parts)
            for (key, _), seen in zip(states.parts, states.shelf.seen, strict=True):
                if seen is not None:
                    tensors[key] = seen.digest
        before, self.last = self.last, Snapshot(tensors, flags, whose)
        if before.whose.items() <= whose.items() and before.tensors.keys() <= tensors.keys():
            return self._told(changed, before.flags, flags)  # some have come, and that is all
        return before.delta(self.last).changes
