"""Handmade: parameters of no optimizer that the user's code moves along their gradients by hand."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from steplens.record.account import Account
from steplens.record.ledger import all_zero, values_of

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 4  # looked at in one backward
ELEMENTS = 1024  # of each
ROUNDS = 2  # updates by hand with a gradient that was not cleared, before it is told
KEPT = 256  # tensors remembered
LOOKS = 64  # backward passes looked at
SIGNS = 8  # elements with a gradient, of a tensor judged by the signs of it
ALONG = 0.999  # cosine of the way a tensor has gone and its falling gradient


class Handmade:
    """The values of such parameters after the backward passes, and how many updates were made with
    a gradient that still held what an earlier update had used.

    An update by hand is known by its direction: the tensor has gone straight down its gradient as
    it stands, or down the gradient's signs, as the first update of Adam and its kin goes. Copies
    from another network, noise and decay do not. Once the first update was one, the later ones,
    with momentum, need only go downwards; but tensors of a few elements must go straight.
    """

    def __init__(self) -> None:
        self.values: dict[int, torch.Tensor] = {}
        self.rounds: dict[int, int] = {}
        self.looks = 0
        self.moved = False  # whether a backward's parameters had been moved since the one before

    def before_backward(
        self, recorder: "Recorder", leaves: Sequence[Account]
    ) -> tuple[tuple[int, ...], float]:
        """The leaves whose gradient has served for two updates by hand and is not cleared, and the
        cosine of the way and the gradient."""
        if self.looks >= LOOKS:
            return (), 0.0
        loose = [account for account in leaves if not account.optimizers][:TENSORS]
        held = [a for a in loose if a.holding.contributions and a.holding.known]
        for account in loose:
            if account not in held:
                self.rounds.pop(account.number, None)
        found: dict[int, float] = {}
        large: set[int] = set()
        if held:
            self.looks += 1
            with recorder.quiet(), torch.no_grad():
                for account in held:
                    first = account.number not in self.rounds
                    along = self._along(account, first)
                    before = self.rounds.get(account.number, 0)
                    if along and self.values[account.number].numel() >= SIGNS:
                        large.add(account.number)
                    enough = 0.0 if before and account.number in large else ALONG
                    again = self.rounds[account.number] = before + 1 if along > enough else 0
                    if again >= ROUNDS:
                        found[account.number] = along
        if large:
            found = {number: along for number, along in found.items() if number in large}
        elif len(found) < len(held):
            return (), 0.0  # a tensor of one element goes straight down by chance
        return tuple(found), max(found.values(), default=0.0)

    def round_ends(self, recorder: "Recorder", leaves: Sequence[Account]) -> bool:
        """Whether this backward ends a round of a loop that trains by hand: no optimizer has made a
        step in this run or holds what is reached, and that moves between the backward passes."""
        if recorder.step or not leaves or any(account.optimizers for account in leaves):
            return False
        if not self.moved:
            with recorder.quiet(), torch.no_grad():
                self.moved = any(map(self._moved, leaves[:TENSORS]))
        return self.moved

    def _moved(self, account: Account) -> bool:
        tensor, before = account.ref(), self.values.get(account.number)
        if tensor is None or before is None:
            return False
        values = values_of(tensor)
        return values is not None and not torch.equal(values.reshape(-1)[:ELEMENTS], before)

    def after_backward(self, recorder: "Recorder", leaves: Sequence[Account]) -> None:
        """Keep the values with which these gradients were made."""
        if self.looks >= LOOKS:
            return
        loose = [account for account in leaves if not account.optimizers][:TENSORS]
        if loose:
            with recorder.quiet(), torch.no_grad():
                for account in loose:
                    tensor = account.ref()
                    values = values_of(tensor) if tensor is not None else None
                    room = len(self.values) < KEPT or account.number in self.values
                    if values is not None and room and account.reached < LOOKS:
                        self.values[account.number] = values.reshape(-1)[:ELEMENTS].clone()

    def _along(self, account: Account, first: bool) -> float:
        """The cosine of the way the tensor has gone since its last backward and of its falling
        gradient, at the ``first`` update also of the gradient's signs; 0 where it has not moved or
        has no gradient."""
        tensor, before = account.ref(), self.values.get(account.number)
        gradient = tensor.grad if tensor is not None else None
        if tensor is None or before is None or gradient is None or gradient.is_sparse:
            return 0.0
        now, slope = values_of(tensor), values_of(gradient)
        if now is None or slope is None or all_zero([gradient])[0]:
            return 0.0
        way = now.reshape(-1)[:ELEMENTS] - before
        down = -slope.reshape(-1)[:ELEMENTS]
        if way.shape != down.shape:
            return 0.0
        along = _cosine(way.double(), down.double())
        if first and along <= ALONG and int(down.ne(0).sum()) >= SIGNS:
            return max(along, _cosine(way.double(), down.sign().double()))
        return along


def _cosine(one: torch.Tensor, other: torch.Tensor) -> float:
    product = float(one.norm() * other.norm())
    return float(one @ other) / product if product else 0.0
