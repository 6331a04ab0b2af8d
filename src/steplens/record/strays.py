"""Strays: leaves that get gradients and that no optimizer holds, and tensors that an optimizer
holds and that no loss reaches."""

import math
import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.newest import Newest
from steplens.model.roster import TensorEntry
from steplens.record.account import Account
from steplens.record.brought import Brought
from steplens.record.digest import bits
from steplens.record.graph import Walk
from steplens.record.norms import PLAIN
from steplens.record.settings import attribute_line

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 4096  # leaves remembered
SAMPLED = 4096  # elements read of a larger tensor
FIRST_LOOKS = 3  # at a tensor, whatever the cadence says
PATIENCE = 2  # steps ended before a leaf of an optimizer that steps no more counts as left out
ANEW = 2  # parameters under one name of a module, after the one that an optimizer holds
SEARCHES = 64  # leaves whose holder is looked for

Kind = tuple[str, str, tuple[int, ...]]  # the class of a model, a parameter's name, its shape


class Stray:
    """A tensor as it stood when it was first looked at, and whether it still stands so."""

    __slots__ = ("before", "still", "looks", "since")

    def __init__(self, before: int, since: int = 0) -> None:
        self.before = before
        self.still = True
        self.looks = 1
        self.since = since  # steps ended at the first look

    def look(self, now: int) -> bool:
        """Compare; whether it has stood still at two looks or more."""
        self.looks += 1
        self.still = self.still and now == self.before
        return self.still


class Strays:
    """Values are compared at the steps at which they may be read: code that writes its parameters
    by hand, through ``.data`` too, shows there."""

    def __init__(self) -> None:
        self.loose: dict[int, Stray] = {}
        self.left: dict[int, Stray] = {}  # held by optimizers that step no more
        self.idle: dict[int, Stray] = {}
        self.excused: set[int] = set()  # inputs of forwards, and targets of autograd.grad
        self.searches = 0
        self.brought = Brought()
        self.slots = Newest[tuple[int, str], tuple[int, ...]](MOST)
        self.fleeting = Newest[Kind, list[tuple[int, weakref.ref[torch.Tensor]]]](MOST)

    def excuse(self, recorder: "Recorder", tensors: Iterable[torch.Tensor]) -> None:
        """These leaves get gradients on purpose: inputs of forwards, targets of
        ``autograd.grad``."""
        for tensor in tensors:
            if tensor.requires_grad and tensor.grad_fn is None and len(self.excused) < MOST:
                account = recorder.census.known(tensor)
                if account is None or not account.optimizers:
                    number = account.number if account else recorder.census.account(tensor).number
                    if recorder.roster.tensors[number].role == "leaf":
                        self.excused.add(number)

    def asked_for(self, account: Account) -> bool:
        """Whether a leaf is a tensor of the program's own, no parameter and no optimizer's, that
        gets its gradient on purpose."""
        own = not account.optimizers and type(account.ref()) is not nn.Parameter
        return own and account.number in self.excused

    def made_anew(self, account: Account) -> bool:
        """Whether this is such a leaf, and its first backward is this one: points that a gradient
        is asked for, as a penalty of gradients has them at each step."""
        return not account.reached and self.asked_for(account)

    def after_backward(self, recorder: "Recorder", leaves: Sequence[Account]) -> tuple[int, ...]:
        """The leaves in no optimizer, or in none that has stepped since they were frozen, that a
        second backward has reached with the values they had at the first."""
        thaw = recorder.thaw
        left = {a.number for a in leaves if a.optimizers and thaw.left(recorder, a)}
        loose = [a for a in leaves if not a.optimizers or a.number in left]
        if not loose:
            return ()
        looking = recorder.cadence.looking
        for number in [number for number in self.left if number not in left]:
            del self.left[number]
        found: list[int] = []
        for account in loose:
            known = self.left if account.number in left else self.loose
            stray = known.get(account.number)
            if looking or stray is None or stray.looks < FIRST_LOOKS:
                with recorder.quiet():
                    stray = self._look(recorder, known, account)
            if (
                stray is None
                or not stray.still
                or not (stray.looks > 1 or self._anew(recorder, account))
            ):
                continue
            if account.number in left and recorder.step < stray.since + PATIENCE:
                continue  # its own optimizer's turn may come
            if account.number in thaw.frozen:
                entry = recorder.roster.tensors[account.number]
                entry.thawed = entry.trainable = True
            found.append(account.number)
        return tuple(found)

    def _anew(self, recorder: "Recorder", account: Account) -> bool:
        """Whether a parameter that was reached once is one of several that its module had under one
        name, where an optimizer holds an older one: the module makes it anew in each forward."""
        entry = recorder.roster.tensors[account.number]
        if entry.role != "parameter" or entry.module < 0:
            return False
        slot = entry.module, entry.name
        numbers = self.slots.pop(slot, ())
        if account.number not in numbers:
            numbers = (*numbers[-ANEW:], account.number)
        self.slots[slot] = numbers
        return (
            len(numbers) > ANEW
            and any(
                (other.module, other.name) == slot
                for optimizer in recorder.roster.optimizers.values()
                for each in optimizer.tensors
                if (other := recorder.roster.tensors[each])
            )
        ) or self._fleeting(recorder, account, entry)

    def _fleeting(self, recorder: "Recorder", account: Account, entry: TensorEntry) -> bool:
        """Whether it is one of several under one name of models of one class that were gone when
        the next had come, where an optimizer holds an older one: the model, or a layer of it, is
        made anew for each step."""
        kind = _kind(recorder, entry)
        if not kind[0]:
            return False
        known = self.fleeting.pop(kind, [])
        if all(number != account.number for number, _ in known):
            known = [*known[-ANEW:], (account.number, account.ref)]
        self.fleeting[kind] = known
        return (
            len(known) > ANEW
            and all(ref() is None for _, ref in known[:-ANEW])
            and any(
                _kind(recorder, recorder.roster.tensors[each]) == kind
                for optimizer in recorder.roster.optimizers.values()
                for each in optimizer.tensors
                if each not in [number for number, _ in known]
            )
        )

    def _look(
        self, recorder: "Recorder", known: dict[int, Stray], account: Account
    ) -> Stray | None:
        """Look at a loose leaf; None for one that is excused or cannot be read.

        A parameter of a module is read at the first backward passes that reach it whatever the
        cadence says; other leaves, which may be new ones at every step, are not.
        """
        tensor, number = account.ref(), account.number
        if tensor is None or type(tensor) not in PLAIN or number in self.excused:
            return None
        stray = known.get(number)
        if stray is None:
            if len(known) >= MOST or not (
                recorder.cadence.looking or recorder.roster.tensors[number].role == "parameter"
            ):
                return None
            known[number] = stray = Stray(sampled(tensor), recorder.step)
            recorder.roster.tensors[number].patterned = _patterned(tensor)
            recorder.roster.tensors[number].brought = self.brought.has(tensor)
        elif stray.still:
            stray.look(sampled(tensor))
            self._describe(recorder, tensor, number)
        return stray

    def _describe(self, recorder: "Recorder", tensor: torch.Tensor, number: int) -> None:
        """Say which module holds a loose leaf as a plain attribute, and whether it is a
        Parameter."""
        entry = recorder.roster.tensors[number]
        if entry.role != "leaf" or entry.holder != -2 or self.searches >= SEARCHES:
            return
        self.searches += 1
        entry.holder, entry.declared = -1, isinstance(tensor, nn.Parameter)
        for module in recorder.census.alive():
            for name, value in vars(module).items():
                if name.startswith("_") and name in _OWN:
                    continue
                if _holds(value, tensor):
                    entry.holder = recorder.census.module(module)
                    recorder.census.changes += 1
                    entry.name = f"{name}[...]" if isinstance(value, (list, tuple, dict)) else name
                    entry.set_at = attribute_line(recorder.places, module, name)
                    entry.derived = value is not tensor and isinstance(value, torch.Tensor)
                    return

    def at_step(
        self, recorder: "Recorder", accounts: Sequence[Account], idle: Sequence[int]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of a step's tensors without a gradient: those that do not require one, and those that do,
        that a module still holds, that no backward ever reached and nobody wrote. Where none of
        them all requires one any more, those that were reached count as well."""
        if not idle:
            return (), ()
        looking = recorder.cadence.looking
        wanted = set(idle)
        frozen: list[int] = []
        unreached: list[int] = []
        before: list[int] = []
        with recorder.quiet():
            for account in accounts:
                tensor = account.ref() if account.number in wanted else None
                if tensor is None or account.reached:
                    if tensor is not None and not tensor.requires_grad:
                        before.append(account.number)
                    continue
                stray = self.idle.get(account.number)
                if stray is not None and stray.looks >= FIRST_LOOKS and not looking:
                    continue
                if stray is None:
                    if len(self.idle) >= MOST or type(tensor) not in PLAIN:
                        continue
                    stray = self.idle[account.number] = Stray(sampled(tensor))
                elif not stray.look(sampled(tensor)):
                    continue
                if not tensor.requires_grad:
                    frozen.append(account.number)
                elif stray.looks > 1 and _held(recorder, account.number, tensor):
                    unreached.append(account.number)
        if before and len(before) + len(frozen) == len(accounts):
            frozen += before
        return tuple(frozen), tuple(unreached)


def _kind(recorder: "Recorder", entry: TensorEntry) -> Kind:
    root = recorder.roster.modules.get(entry.root)
    return root.type if root is not None else "", entry.name, tuple(entry.shape)


_OWN = frozenset(vars(nn.Module()))


def _holds(value: Any, tensor: torch.Tensor) -> bool:
    """Whether an attribute is this leaf, holds it, or was computed from it once and for all."""
    if value is tensor:
        return True
    if isinstance(value, torch.Tensor):
        made = value.grad_fn is not None and type(value) is torch.Tensor
        return made and any(leaf is tensor for leaf in Walk([value]).leaves)
    if isinstance(value, (list, tuple)):
        return any(item is tensor for item in value[:256])
    if isinstance(value, dict):
        return any(item is tensor for item in list(value.values())[:256])
    return False


def _held(recorder: "Recorder", number: int, tensor: torch.Tensor) -> bool:
    """Whether the module that the roster names still holds the tensor as a parameter."""
    module = recorder.census.module_at(recorder.roster.tensors[number].module)
    return module is not None and any(held is tensor for held in module._parameters.values())


def _patterned(tensor: torch.Tensor) -> bool:
    """Whether a third or more of a weight's values are others' bit for bit, as in a kernel that was
    written down (Sobel, a binomial blur). No initializer of torch draws such values in single
    precision; those that draw none give one value, or zeros and ones, and do not count, save a
    kernel whose one value is 1 by the number of its places: a mean (a box blur)."""
    try:
        if tensor.dim() < 2 or tensor.dtype not in (torch.float32, torch.float64):
            return False
        values: list[float] = tensor.detach().reshape(-1)[:SAMPLED].tolist()
    except Exception:  # foreign tensors refuse in many ways
        return False
    distinct = set(values)
    if len(distinct) == 1 and (places := math.prod(tensor.shape[2:])) > 1:
        sums = values[0] * places, values[0] * places * tensor.shape[1]
        return any(math.isclose(total, 1, rel_tol=1e-6) for total in sums)
    return 1 < len(distinct) <= len(values) * 2 // 3 and not distinct <= {0.0, 1.0}


def sampled(tensor: torch.Tensor) -> int:
    """A checksum of the values; of a large tensor, of some thousand elements spread over it."""
    try:
        flat = tensor.detach().reshape(-1)
        if flat.numel() > SAMPLED * 4:
            flat = flat[:: flat.numel() // SAMPLED]
        return bits(flat.cpu())
    except Exception:  # foreign tensors refuse in many ways
        return 0
