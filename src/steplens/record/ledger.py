"""Ledger: for every tensor, which backward passes its gradient holds, which a step has used, what
cleared them."""

from collections.abc import Callable, Iterable, Sequence

import torch

from steplens.model.event import Overlap, Share
from steplens.record.account import BY_HAND, EMPTY, Account, Holding
from steplens.record.digest import version


class Ledger:
    """Keeps the Accounts in step with what happens to ``p.grad``.

    Calls that torch makes known (backward, zero_grad, step, clip) are told to it; what the user's
    code does to a gradient by hand is noticed at the next call, from the gradient's identity and
    write counter, and, where these are blind (``p.grad.data.zero_()``) or do not say enough, from
    the values. ``may_look`` says whether values may be read now.
    """

    def __init__(
        self,
        may_look: Callable[[], bool],
        cleared_by_hand: Callable[[list[tuple[Account, Holding]]], int],
    ) -> None:
        self.may_look = may_look
        self.cleared_by_hand = cleared_by_hand
        self.fresh: dict[int, int] = {}  # accounts given a gradient by the backward now running

    # -- looking ------------------------------------------------------------------------------

    def look(self, accounts: Iterable[Account], running: int = -1) -> None:
        """Notice what was done to the gradients by hand since the last look.

        ``running`` is the Backward event now in progress, if any (an optimizer may step inside
        backward): a gradient that changed holds its contribution.
        """
        cleared: list[tuple[Account, Holding]] = []
        written: list[tuple[Account, torch.Tensor]] = []
        for account in accounts:
            tensor = account.ref()
            if tensor is None:
                continue
            gradient = tensor.grad
            if gradient is None:
                if account.holding is not EMPTY:
                    cleared.append((account, account.holding))
                    account.holding = EMPTY
                account.grad_id = 0
            elif id(gradient) != account.grad_id or version(gradient) != account.grad_version:
                if running >= 0 and account.number in self.fresh:
                    self._add(account, gradient, running)
                else:
                    written.append((account, gradient))
        if written:
            self._written(written, cleared)
        if cleared:
            self._tell(cleared)

    def _written(
        self, written: list[tuple[Account, torch.Tensor]], cleared: list[tuple[Account, Holding]]
    ) -> None:
        """Gradients somebody wrote: zeroed is a clear, anything else keeps its contributions if it
        was scaled in place."""
        zeroed = all_zero([gradient for _, gradient in written]) if self.may_look() else None
        for position, (account, gradient) in enumerate(written):
            if zeroed is not None and zeroed[position]:
                if account.holding is not EMPTY and account.holding.contributions:
                    cleared.append((account, account.holding))
                account.holding = EMPTY
            elif (
                zeroed is None
                or id(gradient) != account.grad_id
                or not account.holding.contributions
            ):
                account.holding = BY_HAND
            account.grad_id, account.grad_version = id(gradient), version(gradient)

    def _tell(self, cleared: list[tuple[Account, Holding]]) -> None:
        real = [(account, holding) for account, holding in cleared if holding.contributions]
        if real:
            event = self.cleared_by_hand(real)
            for account, _ in real:
                account.clear = event

    # -- what torch makes known ---------------------------------------------------------------

    def before_backward(self, leaves: Sequence[Account]) -> list[Account]:
        """Look, and return the leaves whose gradients still hold contributions that a step has
        used.

        For these the values are read, as ``p.grad.data.zero_()`` moves no counter: zero is a clear.
        When values may not be read now, what they hold is unknown.
        """
        self.look(leaves)
        suspects = [account for account in leaves if account.holding.used]
        if not suspects:
            return suspects
        if not self.may_look():
            for account in suspects:
                account.holding = BY_HAND
            return []
        pairs = [
            (account, tensor.grad) for account in suspects if (tensor := account.ref()) is not None
        ]
        gradients = [gradient for _, gradient in pairs if gradient is not None]
        zeroed = all_zero(gradients)
        cleared: list[tuple[Account, Holding]] = []
        kept: list[Account] = []
        for account, zero in zip((a for a, g in pairs if g is not None), zeroed, strict=True):
            if zero:
                cleared.append((account, account.holding))
                account.holding = EMPTY
            else:
                kept.append(account)
        if cleared:
            self._tell(cleared)
        return kept

    def begin_backward(self, leaves: Sequence[Account]) -> None:
        """From now on a changed gradient of these leaves is the running backward's."""
        for account in leaves:
            self.fresh[account.number] = 1

    def after_backward(self, leaves: Sequence[Account], backward: int) -> None:
        """Each leaf's gradient holds one more contribution; a gradient taken away inside the
        backward holds none."""
        for account in leaves:
            if self.fresh.pop(account.number, 0) == 0:
                self._settle(account)  # a step inside the backward has used it already
                continue
            tensor = account.ref()
            gradient = tensor.grad if tensor is not None else None
            if gradient is None:
                account.holding, account.grad_id = EMPTY, 0
            else:
                account.holding = account.holding.plus(backward)
                account.grad_id, account.grad_version = id(gradient), version(gradient)

    def _settle(self, account: Account) -> None:
        tensor = account.ref()
        gradient = tensor.grad if tensor is not None else None
        if gradient is None:
            account.holding, account.grad_id = EMPTY, 0
        else:
            account.grad_id, account.grad_version = id(gradient), version(gradient)

    def _add(self, account: Account, gradient: torch.Tensor, backward: int) -> None:
        account.holding = account.holding.plus(backward)
        account.grad_id, account.grad_version = id(gradient), version(gradient)
        self.fresh.pop(account.number, None)

    def cleared(self, accounts: Iterable[Account], event: int) -> tuple[Share, ...]:
        """After a ``zero_grad``: what was lost, by Share."""
        lost: dict[Holding, list[int]] = {}
        for account in accounts:
            tensor = account.ref()
            if tensor is None:
                continue
            gradient = tensor.grad
            if account.holding.contributions:
                lost.setdefault(account.holding, []).append(account.number)
                account.clear = event
            account.holding = EMPTY
            if gradient is None:
                account.grad_id = 0
            else:
                account.grad_id, account.grad_version = id(gradient), version(gradient)
        return shares(lost)

    def written_by_torch(self, accounts: Iterable[Account]) -> None:
        """Clipping and unscaling write gradients in place: what they hold stays."""
        for account in accounts:
            self._settle_version(account)

    def _settle_version(self, account: Account) -> None:
        tensor = account.ref()
        gradient = tensor.grad if tensor is not None else None
        if gradient is not None:
            account.grad_id, account.grad_version = id(gradient), version(gradient)

    def holdings(
        self, accounts: Iterable[Account]
    ) -> tuple[tuple[Share, ...], tuple[int, ...], tuple[int, ...]]:
        """What gradients hold now: known Shares, tensors without a gradient or with a cleared one,
        tensors written by hand."""
        held: dict[Holding, list[int]] = {}
        idle: list[int] = []
        unknown: list[int] = []
        for account in accounts:
            holding = account.holding
            if holding.contributions and holding.known:
                held.setdefault(holding, []).append(account.number)
            elif not holding.known:
                unknown.append(account.number)
            else:
                idle.append(account.number)
        return shares(held), tuple(idle), tuple(unknown)

    def after_step(self, accounts: Iterable[Account], step: int) -> None:
        """Mark what the gradients hold as used by this step, and see whether the step itself wrote
        or cleared them."""
        for account in accounts:
            holding = account.holding
            if holding.contributions:
                account.holding = holding.used_in(step)
            tensor = account.ref()
            gradient = tensor.grad if tensor is not None else None
            if gradient is None:
                account.holding, account.grad_id = EMPTY, 0
            else:
                account.grad_id, account.grad_version = id(gradient), version(gradient)


def shares(held: dict[Holding, list[int]]) -> tuple[Share, ...]:
    """Holdings and their tensors as plain data."""
    return tuple(Share(tuple(numbers), holding.contributions) for holding, numbers in held.items())


def all_zero(gradients: Sequence[torch.Tensor]) -> list[bool]:
    """Whether each gradient is zero everywhere, read from the device in one go."""
    if not gradients:
        return []
    with torch.no_grad():
        flags = [_any_nonzero(gradient) for gradient in gradients]
        return [
            not flag for flag in torch.stack([flag.to(flags[0].device) for flag in flags]).tolist()
        ]


def _any_nonzero(gradient: torch.Tensor) -> torch.Tensor:
    plain = gradient.detach()
    if plain.layout == torch.sparse_coo:
        plain = plain._values()
    return plain.ne(0).any()


def overlap(accounts: Sequence[Account], old: Sequence[torch.Tensor]) -> Overlap | None:
    """Compare the old part of gradients (copies taken before a backward) with what the backward
    added."""
    with torch.no_grad():
        sums = [0.0, 0.0, 0.0]
        counted = 0
        for account, before in zip(accounts, old, strict=True):
            tensor = account.ref()
            gradient = tensor.grad if tensor is not None else None
            if gradient is None or gradient.shape != before.shape:
                continue
            first = before.double().reshape(-1)
            second = gradient.detach().double().reshape(-1) - first
            sums[0] += float(first @ first)
            sums[1] += float(second @ second)
            sums[2] += float(first @ second)
            counted += 1
    if not counted:
        return None
    scale = (sums[0] * sums[1]) ** 0.5
    return Overlap(counted, sums[0] ** 0.5, sums[1] ** 0.5, sums[2] / scale if scale else 0.0)
