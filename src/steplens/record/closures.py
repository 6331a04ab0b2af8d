"""Closures: passes of one that add to gradients which the optimizer running it has read since."""

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from steplens.record.account import Account
from steplens.record.exchanged import counters

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

OWN = "torch.optim."  # whose optimizers read the gradients after each evaluation of the closure


class Evaluations:
    """Where an optimizer stood at the newest backward of the closure it runs.

    Between two evaluations it counts an iteration in its own state and moves its parameters. Either
    alone could be the closure's doing, which may go backward several times and write weights
    meanwhile; an author's own optimizer may add up on purpose what several evaluations give.
    """

    __slots__ = ("optimizer", "own", "stood")

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = weakref.ref(optimizer)  # a step that raises leaves this behind
        self.own = getattr(type(optimizer).step, "__module__", "").startswith(OWN)
        self.stood: tuple[list[int], list[int]] | None = None

    def went_on(self, accounts: Sequence[Account]) -> bool:
        """Whether the optimizer went on since the backward before this one."""
        optimizer = self.optimizer()
        state = optimizer.state.values() if optimizer is not None else ()
        counts = [n for each in state for n in each.values() if type(n) is int]
        before, self.stood = self.stood, (counts, counters(accounts))
        return before is not None and before[0] != counts and before[1] != self.stood[1]


def left(recorder: "Recorder", leaves: Sequence[Account]) -> list[Account]:
    """The leaves of a backward whose gradients still hold what the optimizer that now runs its
    closure read after an earlier evaluation; those written by hand since hold nobody knows what."""
    pending = recorder.steps.pending[-1] if recorder.steps.pending else None
    if pending is None or pending.evaluations is None or not pending.evaluations.own:
        return []
    if not pending.evaluations.went_on(pending.accounts):
        return []
    own = {account.number for account in pending.accounts}
    held = [each for each in leaves if each.number in own and each.holding.contributions]
    return recorder.ledger.still_held([a for a in held if a.rewritten is not a.holding])
