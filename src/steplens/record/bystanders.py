"""Bystanders: parameters that no optimizer has stepped, and whether the program writes them."""

from typing import TYPE_CHECKING

import torch

from steplens.model.event import Drift
from steplens.record.account import Account
from steplens.record.cadence import Cadence
from steplens.record.norms import PLAIN
from steplens.record.strays import sampled

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 2048  # parameters whose values are compared
ANY = 1 << 62  # as many as there may be


class Bystanders:
    """Averaged copies, target networks, and parameters updated by the program's own code.

    Their values are compared at the first backward passes and then at the first look from each
    power of two on, and at the end for those still alive. The flags ``requires_grad`` of all
    tensors are read at the same time, so that the Roster tells what they are now.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.next = 1  # the backward from which they are to look
        self.known: dict[int, int] = {}  # tensor -> checksum when first looked at
        self.told: set[int] = set()

    def room(self, cadence: Cadence) -> int:
        """How many backward passes there may be before one after which to look. Where looks come,
        they wait for one: to end the counting for them alone costs as much as a look does."""
        return ANY if cadence.look.share else self.next - 1 - self.calls

    def after_backward(self, recorder: "Recorder") -> None:
        """A backward has ended."""
        self.calls += 1
        cadence = recorder.cadence
        if self.calls < self.next or (cadence.look.share and not cadence.looking):
            return
        self.next = self.calls + 1 if self.calls < 4 else 1 << self.calls.bit_length()
        recorder.values.guarded(lambda: self.look(recorder))

    def look(self, recorder: "Recorder") -> None:
        """Compare, and tell of those that have changed. Waits for the device."""
        stepped = recorder.steps.count
        entries = recorder.roster.tensors
        found: list[int] = []
        for account in list(recorder.census.accounts.values()):
            tensor, entry = account.ref(), entries[account.number]
            if tensor is None:
                continue
            entry.trainable = tensor.requires_grad
            if entry.role == "parameter":
                recorder.thaw.seen(recorder, account, tensor.requires_grad)
            if entry.role != "parameter" or account.number in self.told:
                continue
            if not self._apart(account, stepped) or type(tensor) not in PLAIN:
                continue
            if self._changed(account.number, tensor):
                found.append(account.number)
        if found:
            self.told.update(found)
            site = None
            recorder.emit(Drift(recorder.index(), recorder.step, site, tuple(found)))

    def _apart(self, account: Account, stepped: dict[int, int]) -> bool:
        """Whether no optimizer that holds it has stepped; one that has yet to step may hold
        everything, so its tensors are looked at from the second backward on."""
        if not account.optimizers:
            return True
        return self.calls > 1 and not any(number in stepped for number in account.optimizers)

    def _changed(self, number: int, tensor: torch.Tensor) -> bool:
        before = self.known.get(number)
        if before is None:
            if len(self.known) < MOST:
                self.known[number] = sampled(tensor)
            return False
        return sampled(tensor) != before
