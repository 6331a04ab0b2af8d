"""Rewound: parameters that were put back to the values they had before their optimizer's first
step (a ticket's first weights, the next fold of a cross-validation), however near these are."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from steplens.model.newest import Newest
from steplens.record.account import Account
from steplens.record.norms import readable, resample, sample

ELEMENTS = 256  # about so many of each parameter
MOST = 512  # parameters of one optimizer
OPTIMIZERS = 64  # whose first values are kept
FEWEST = 16  # changed elements that are compared
STEPS = 8  # since: a search that tries a step and takes it back makes fewer


def stepped(optimizer: Any) -> bool:
    """Whether an optimizer has stepped, by its state: some, as Adagrad, make one before. Waits for
    the device."""
    states = [state for state in optimizer.state.values() if state]
    return any(not _new(state.get("step", 1)) for state in states)


def _new(count: Any) -> bool:
    known = not isinstance(count, torch.Tensor) or count.device.type != "meta"
    return known and float(count) == 0


class Rewound:
    """Samples of what the parameters of optimizers with state held before the first step."""

    def __init__(self) -> None:
        self.kept = Newest[int, dict[int, torch.Tensor]](OPTIMIZERS)
        self.seen = 0

    def first(self, optimizer: Any, number: int, accounts: Sequence[Account]) -> None:
        """Keep the samples, if this is the optimizer's first step."""
        if number in self.kept or self.seen >= OPTIMIZERS or stepped(optimizer):
            return
        self.seen += 1
        self.kept[number] = {
            account.number: sample(tensor.detach(), ELEMENTS)
            for account in accounts[:MOST]
            if (tensor := account.ref()) is not None and readable(tensor)
        }

    def back(
        self, number: int, steps: int, written: Iterable[tuple[int, torch.Tensor, torch.Tensor]]
    ) -> bool:
        """Whether all that was written (tensor, values, which of them changed; whole or samples of
        ``ELEMENTS``) holds what it held before the first step; elements that are zero may be
        masked ones."""
        kept = self.kept.get(number)
        if not kept or steps < STEPS:
            return False
        compared = 0
        for tensor, values, changed in written:
            was, now = kept.get(tensor), resample(values, ELEMENTS)
            if was is None or was.shape != now.shape or was.device != now.device:
                return False
            looked = resample(changed, ELEMENTS) & now.ne(0)
            if not torch.equal(was[looked], now[looked]):
                return False
            compared += int(looked.sum())
        return compared >= FEWEST
