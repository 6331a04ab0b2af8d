"""Stillness: whether tensors that get gradients, of an optimizer that never steps, move at all."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.ledger import values_of
from steplens.record.naming import called_as
from steplens.record.norms import nonzero
from steplens.record.places import Places
from steplens.record.rounds import Call
from steplens.record.thrown import thrown_update
from steplens.record.unrun import step_line

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 4  # looked at for each optimizer
ELEMENTS = 256  # of each, where the first gradient is not zero
NONE = -1  # stands for the optimizer of a program that makes none
MOST = 64  # optimizers that have not stepped, looked at at a time
EVERY = 16  # backward passes are looked at one by one up to here, then at each power of two


class Sample:
    """Some elements of some tensors as they stood at the first backward that reached them."""

    __slots__ = ("parts",)

    def __init__(self, accounts: Sequence[Account]) -> None:
        self.parts: list[tuple[Account, torch.Tensor, torch.Tensor]] = []
        for account in accounts:
            tensor = account.ref()
            if tensor is None or tensor.grad is None or tensor.grad.shape != tensor.shape:
                continue
            values, gradient = values_of(tensor), values_of(tensor.grad)
            if values is None or gradient is None:
                continue
            if tensor.grad.layout == torch.sparse_coo:  # the first elements of the rows it holds
                rows = tensor.grad._indices()[0][:ELEMENTS]
                places = rows.unique() * (tensor.numel() // max(tensor.shape[0], 1))
            else:
                places = nonzero(gradient.reshape(-1), ELEMENTS)
            if places.numel():
                self.parts.append((account, places, values.reshape(-1)[places].clone()))

    def stands(self) -> bool:
        """Whether all of them still bear the same bits."""
        for account, places, before in self.parts:
            tensor = account.ref()
            values = values_of(tensor) if tensor is not None else None
            if values is None or values.numel() <= int(places.max()):
                return False
            if not torch.equal(values.reshape(-1)[places], before):
                return False
        return bool(self.parts)


class Stillness:
    """The optimizers that have not stepped yet, and samples of their tensors.

    Code that writes its parameters by hand (`p.data -= lr * p.grad` moves no counter) shows in the
    values only. They are read at the first backward passes and then ever more seldom, and not at
    all once every optimizer has stepped.
    """

    def __init__(self) -> None:
        self.idle: set[int] = set()
        self.samples: dict[int, Sample] = {}
        self.seen: dict[int, int] = {}  # backward passes that reached its tensors
        self.names: dict[int, set[str]] = {}  # variables under which the user called it
        self.lines: dict[int, Site | None] = {}
        self.any = False  # whether the program has made an optimizer

    def made(self, optimizer: int) -> None:
        """An optimizer exists that has not stepped; of thousands only the newest are looked at."""
        self.any = True
        if len(self.idle) >= MOST:
            self.stepped(min(self.idle))  # look at it no more
        self.idle.add(optimizer)

    def stepped(self, optimizer: int) -> None:
        """It has stepped: nothing more to look at."""
        if self.idle:
            self.idle.discard(optimizer)
            self.samples.pop(optimizer, None)
            self.names.pop(optimizer, None)

    def reached(self, calls: Sequence[Call]) -> bool:
        """Whether a backward among these calls reaches tensors that are looked at. Those of an
        optimizer whose phase is to come wait unreached, for thousands of steps."""
        return bool(self.idle) and any(
            not self.idle.isdisjoint(account.optimizers)
            for call in calls
            if call.form == "backward"
            for account in call.accounts
        )

    def look(self, leaves: Sequence[Account]) -> tuple[int, ...]:
        """The optimizers among these leaves' that have not stepped and whose tensors stand still,
        or NONE if there is no optimizer and they do; called when a backward has just ended."""
        if not self.idle:
            return self._by_hand(leaves)
        found: list[int] = []
        for number in set[int]().union(*[account.optimizers for account in leaves]) & self.idle:
            seen = self.seen[number] = self.seen.get(number, 0) + 1
            if seen <= EVERY or not seen & (seen - 1):
                with torch.no_grad():
                    if self._stands(number, leaves):
                        found.append(number)
        return tuple(sorted(found))

    def _by_hand(self, leaves: Sequence[Account]) -> tuple[int, ...]:
        """What a program without optimizers does to its parameters is looked at, too."""
        if self.any or not leaves or (NONE in self.lines and self.lines[NONE] is None):
            return ()
        seen = self.seen[NONE] = self.seen.get(NONE, 0) + 1
        if seen > EVERY and seen & (seen - 1):
            return ()
        with torch.no_grad():
            known = self.samples.get(NONE)
            if known is None:
                ordered = sorted(leaves, key=_size)
                self.samples[NONE] = Sample(ordered[: TENSORS - 1] + ordered[TENSORS - 1 :][-1:])
                return ()
            if known.stands():
                return (NONE,)
        self.lines[NONE] = None  # they are written
        return ()

    def unrun(self, recorder: "Recorder", still: tuple[int, ...]) -> tuple[Site | None, ...]:
        """The lines that name the steps of these optimizers, looked for once for each; where there
        is none, the line that throws an update by hand away."""
        for number in still:
            if number == NONE and number not in self.lines:
                found = thrown_update(recorder.places.frame(1))
                self.lines[number] = (
                    recorder.places.line(found[0].f_code, found[1]) if found else None
                )
            if number not in self.lines:
                names = self.names.get(number, set()) | {recorder.roster.optimizers[number].label}
                self.lines[number] = step_line(recorder.places, names)
        return tuple(self.lines[number] for number in still)

    def called(self, number: int, places: Places) -> None:
        """A method of an optimizer that has not stepped was called: what is it called there?"""
        frame = places.frame(1)
        names = self.names.setdefault(number, set())
        if frame is not None and len(names) < 4:
            said = called_as((frame.f_code, frame.f_lasti, frame.f_lineno or 0))
            names.add(said.removesuffix(".zero_grad"))

    def _stands(self, optimizer: int, leaves: Sequence[Account]) -> bool:
        known = self.samples.get(optimizer)
        if known is None:
            mine = [account for account in leaves if optimizer in account.optimizers]
            mine.sort(key=_size)
            found = Sample(mine[: TENSORS - 1] + mine[TENSORS - 1 :][-1:])
            if found.parts:
                self.samples[optimizer] = found
            return bool(found.parts)
        if known.stands():
            return True
        self.stepped(optimizer)  # somebody writes them by hand
        return False


def _size(account: Account) -> int:
    tensor = account.ref()
    return tensor.numel() if tensor is not None else 0
