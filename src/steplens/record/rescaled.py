"""Rescaled: the number by which the program multiplies all gradients between the last backward and
the step, read from a few elements at looks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from steplens.record.account import Account
from steplens.record.norms import dense

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 4  # whose elements are kept
ELEMENTS = 64  # of each
IDLE = 16  # looks without gradients that were written by hand, after which nobody looks any more
LOOKS = 64
EXACT = 1e-5  # of a gradient: what two roundings make


class Rescaled:
    """Some elements of some gradients, as the newest backward left them."""

    def __init__(self) -> None:
        self.samples: dict[int, torch.Tensor] = {}
        self.idle, self.looks = IDLE, LOOKS

    def after_backward(self, recorder: "Recorder", leaves: Sequence[Account]) -> None:
        """A backward has ended: keep what it left."""
        if not recorder.cadence.looking or self.idle <= 0 or self.looks <= 0:
            return

        def keep() -> None:
            for account in leaves[:TENSORS]:
                gradient = _gradient(account)
                if gradient is not None:
                    self.samples[account.number] = gradient.clone()

        recorder.values.guarded(keep)

    def before_step(self, recorder: "Recorder", pending: Any) -> float:
        """A step is about to use its gradients: the one factor that tells all that were kept from
        what they are now, where all were written by hand since; else 0."""
        samples, self.samples = self.samples, {}
        if not samples or pending.closure or recorder.place() is not None:
            return 0.0
        used = sum(len(share.tensors) for share in pending.uses)
        if not pending.rewritten or pending.rewritten < used:
            self.idle -= 1
            return 0.0
        self.looks -= 1
        pairs = [
            (samples[account.number], now)
            for account in pending.accounts
            if account.number in samples and (now := _gradient(account)) is not None
        ]
        found: float | None = recorder.values.guarded(lambda: _factor(pairs))
        return found or 0.0


def _gradient(account: Account) -> torch.Tensor | None:
    """The first elements of a leaf's gradient, where these can be read."""
    tensor = account.ref()
    gradient = tensor.grad if tensor is not None else None
    if gradient is None or not dense(gradient) or not gradient.is_contiguous():
        return None
    return gradient.detach().view(-1)[:ELEMENTS]


def _factor(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> float:
    """By what all of the first were multiplied to be the second; 0 where that is no one number.
    Waits for the device."""
    if not pairs or any(one.shape != two.shape for one, two in pairs):
        return 0.0
    device = pairs[0][0].device
    before, after = (torch.cat([each[i].double().to(device) for each in pairs]) for i in (0, 1))
    place = before.abs().argmax()
    factor = after[place] / before[place]
    same = ((after - factor * before).abs() <= EXACT * (factor * before).abs()).all()
    value, exact = torch.stack([factor, same.double()]).tolist()
    return float(value) if exact else 0.0
