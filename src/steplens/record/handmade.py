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
ALONG = 0.999  # cosine of the way a tensor has gone and its falling gradient


class Handmade:
    """The values of such parameters after the backward passes, and how many updates were made with
    a gradient that still held what an earlier update had used.

    An update by hand is known by its direction: the tensor has gone straight down its gradient as
    it stands. Copies from another network, noise and decay do not, nor does momentum by hand, which
    is not seen.
    """

    def __init__(self) -> None:
        self.values: dict[int, torch.Tensor] = {}
        self.rounds: dict[int, int] = {}
        self.looks = 0

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
        found: list[int] = []
        cosine = 0.0
        if held:
            self.looks += 1
            with recorder.quiet(), torch.no_grad():
                for account in held:
                    along = self._along(account)
                    again = self.rounds.get(account.number, 0) + 1 if along > ALONG else 0
                    self.rounds[account.number] = again
                    if again >= ROUNDS:
                        found.append(account.number)
                        cosine = along
        return tuple(found), cosine

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

    def _along(self, account: Account) -> float:
        """The cosine of the way the tensor has gone since its last backward and of its falling
        gradient; 0 where it has not moved or has no gradient."""
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
        product = float(way.double().norm() * down.double().norm())
        return float(way.double() @ down.double()) / product if product else 0.0
