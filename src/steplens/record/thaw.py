"""Thaw: parameters that did not require gradients at one time, and get gradients later."""

from typing import TYPE_CHECKING

from steplens.record.account import Account

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 4096  # parameters remembered
LOOKS = 64  # optimizers at whose making all flags are read


class Thaw:
    """The parameters that were seen frozen, and how many steps their optimizers had then made.

    One that is frozen is left out of an optimizer made at that time, rightly. Once it requires a
    gradient again, that optimizer will not step it, and one that held it before may be gone.
    """

    def __init__(self) -> None:
        self.frozen: dict[int, int] = {}  # tensor -> steps of its optimizers when seen frozen
        self.made = 0

    def optimizer_made(self, recorder: "Recorder") -> None:
        """Read the flags of all parameters known; of thousands of optimizers at the first only."""
        self.made += 1
        if self.made > LOOKS:
            return
        entries = recorder.roster.tensors
        for account in list(recorder.census.accounts.values()):
            tensor = account.ref()
            if tensor is not None and entries[account.number].role == "parameter":
                self.seen(recorder, account, tensor.requires_grad)

    def seen(self, recorder: "Recorder", account: Account, trainable: bool) -> None:
        """A parameter's flag was read."""
        if not trainable and (account.number in self.frozen or len(self.frozen) < MOST):
            self.frozen[account.number] = _steps(recorder, account)

    def left(self, recorder: "Recorder", account: Account) -> bool:
        """Whether no optimizer that holds this leaf of a backward has stepped since it was frozen:
        then it is as if none held it."""
        before = self.frozen.get(account.number)
        return before is not None and before == _steps(recorder, account)


def _steps(recorder: "Recorder", account: Account) -> int:
    count = recorder.steps.count
    return sum([count.get(number, 0) for number in account.optimizers])
