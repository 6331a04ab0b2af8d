"""Ledger: for every tensor, which backward passes its gradient holds, which a step has used, what
cleared them."""

import math
import threading
from collections.abc import Callable, Iterable, Sequence

import torch

from steplens.model.event import Overlap, Share
from steplens.record.account import BY_HAND, EMPTY, UNREAD, Account, Holding
from steplens.record.digest import freed, local, version
from steplens.record.underway import Underway

SAMPLE = 4  # gradients read for all where reading all would cost too much
NORMS = 64  # norms of lost gradients read before the cadence alone decides


class Running(threading.local):
    """The backward that a thread runs."""

    def __init__(self) -> None:
        self.fresh: dict[int, int] = {}  # accounts that it gives a gradient: 0 once it has


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
        underway: Underway,
    ) -> None:
        self.may_look = may_look
        self.cleared_by_hand = cleared_by_hand
        self.running = Running()
        self.underway = underway
        self.clears_unseen = False  # whether zeros were found that no counter told of
        self.any_rewritten = False
        self.norms_read = 0

    @property
    def fresh(self) -> dict[int, int]:
        """The accounts given a gradient by the backward now running on this thread, or for which
        this thread runs."""
        found = self.underway.here()
        return found[1] if found is not None else self.running.fresh

    # -- looking ------------------------------------------------------------------------------

    def look(self, accounts: Iterable[Account], running: int = -1) -> None:
        """Notice what was done to the gradients by hand since the last look.

        ``running`` is the Backward event now in progress, if any (an optimizer may step inside
        backward): a gradient that changed holds its contribution. One that changes again may have
        got more of it, as where a checkpoint runs the backward of a block by itself.
        """
        cleared: list[tuple[Account, Holding]] = []
        written: list[tuple[Account, torch.Tensor]] = []
        fresh = self.fresh if running >= 0 else {}
        more: set[int] = set()
        for account in accounts:
            tensor = account.ref()
            if tensor is None or not tensor.is_leaf:  # one written to in place is a result since
                continue
            gradient = tensor.grad
            if gradient is None:
                if account.holding is not EMPTY:
                    cleared.append((account, account.holding))
                    account.holding = EMPTY
                account.grad_id = 0
            elif id(gradient) != account.grad_id or version(gradient) != account.grad_version:
                due = fresh.get(account.number)
                if due:
                    self._add(account, gradient, running)
                elif account.grad_version == UNREAD:
                    account.grad_id, account.grad_version = id(gradient), version(gradient)
                else:
                    written.append((account, gradient))
                    if due is not None and account.holding.newest(running):
                        more.add(account.number)
        if written:
            self._written(written, cleared, more)
        if cleared:
            self._tell(cleared)

    def _written(
        self,
        written: list[tuple[Account, torch.Tensor]],
        cleared: list[tuple[Account, Holding]],
        more: set[int],
    ) -> None:
        """Gradients somebody wrote: zeroed is a clear; written in place before a step used them
        (scaled, clipped), or by the backward that has given them ``more``, they keep their
        contributions; of anything else nothing can be said."""
        zeroed = all_zero([gradient for _, gradient in written]) if self.may_look() else None
        for position, (account, gradient) in enumerate(written):
            holding = account.holding
            if account.number in more:
                pass
            elif zeroed is not None and zeroed[position]:
                if holding.contributions:
                    cleared.append((account, holding))
                account.holding = EMPTY
            elif (
                zeroed is None
                or id(gradient) != account.grad_id
                or not holding.contributions
                or holding.used
            ):
                account.holding = BY_HAND
            else:
                account.rewritten, self.any_rewritten = holding, True
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
        Beyond the cadence a few of them are read for all, and only as long as the program has never
        cleared in that way; if it has, what they hold then is unknown. On the cadence those that no
        step has used, or that were written by hand, are read as well.
        """
        self.look(leaves)
        if self.may_look():
            held = [account for account in leaves if account.holding is not EMPTY]
            return [account for account in self._settle_zeros(held) if account.holding.used]
        suspects = [account for account in leaves if account.holding.used]
        if not suspects:
            return suspects
        if not self.clears_unseen and self._settle_zeros(suspects[:SAMPLE]):
            return [account for account in suspects if account.holding.used]
        for account in suspects:
            account.holding = BY_HAND
        return []

    def still_used(self, accounts: Sequence[Account]) -> bool:
        """Whether gradients that only hold used contributions are not zero after all: the values
        are read, and those found zero count as cleared."""
        return bool(self._settle_zeros([a for a in accounts if a.holding.used]))

    def still_held(self, accounts: Sequence[Account]) -> list[Account]:
        """Those whose gradients are not zero after all: of a few the values are read."""
        if self.clears_unseen or not self._settle_zeros(accounts[:SAMPLE]):
            return []
        return [account for account in accounts if account.holding.contributions]

    def _settle_zeros(self, suspects: Sequence[Account]) -> list[Account]:
        """Count gradients that are zero everywhere as cleared, and return the others.

        Nobody is said to have cleared them where there are others, or where no step has used them:
        what they got may have been zero, as is the part of a critic's last bias, whose two terms
        cancel, or that of a batch that is masked altogether.
        """
        if not suspects:
            return []
        pairs = [
            (account, gradient)
            for account in suspects
            if (tensor := account.ref()) is not None and (gradient := tensor.grad) is not None
        ]
        zeroed = all_zero([gradient for _, gradient in pairs])
        cleared: list[tuple[Account, Holding]] = []
        kept: list[Account] = []
        for (account, _), zero in zip(pairs, zeroed, strict=True):
            if zero:
                cleared.append((account, account.holding))
                account.holding = EMPTY
            else:
                kept.append(account)
        used = [(account, holding) for account, holding in cleared if holding.used]
        if used and not kept:
            self.clears_unseen = True
            self._tell(used)
        return kept

    def begin_backward(
        self, leaves: Sequence[Account], fresh: dict[int, int] | None = None
    ) -> None:
        """From now on a changed gradient of these leaves is the running backward's: this thread's,
        or that of the thread whose ``fresh`` is given."""
        fresh = self.fresh if fresh is None else fresh
        for account in leaves:
            fresh[account.number] = 1

    def after_backward(self, leaves: Sequence[Account], backward: int) -> None:
        """Each leaf's gradient holds one more contribution; a gradient taken away inside the
        backward holds none."""
        fresh = self.fresh
        for account in leaves:
            if fresh.pop(account.number, 0) == 0:
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
        self.fresh[account.number] = 0

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

    def unused_norm(self, accounts: Sequence[Account]) -> float | None:
        """The L2 norm of the gradients, of at most 32 tensors, that hold contributions no step has
        used; -1 where there are none or they are not looked at, None where it is not finite. Read
        before they are cleared."""
        unused = {
            holding
            for holding in {account.holding for account in accounts}
            if holding.contributions and not holding.used
        }
        if not unused or (self.norms_read >= NORMS and not self.may_look()):
            return -1.0
        self.norms_read += 1
        gradients = [
            gradient
            for account in accounts
            if account.holding in unused
            and (tensor := account.ref()) is not None
            and (gradient := tensor.grad) is not None
        ]
        norm = norm_of(gradients[:32])
        return norm if math.isfinite(norm) else None

    def rewritten(self, accounts: Iterable[Account]) -> int:
        """How many gradients were written in place by hand since their newest contribution."""
        if not self.any_rewritten:
            return 0
        return sum(
            account.rewritten is account.holding
            for account in accounts
            if account.holding.contributions
        )

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
    """Whether each gradient is zero everywhere, read from the device in one go; False for one that
    has no values to read."""
    found = [False] * len(gradients)
    with torch.no_grad():
        flags = {
            position: plain.ne(0).any()
            for position, gradient in enumerate(gradients)
            if (plain := values_of(gradient)) is not None
        }
        if flags:
            device = next(iter(flags.values())).device
            read = torch.stack([flag.to(device) for flag in flags.values()]).tolist()
            for position, flag in zip(flags, read, strict=True):
                found[position] = not flag
    return found


def norm_of(gradients: Sequence[torch.Tensor]) -> float:
    """The L2 norm over all these gradients, read from the device in one go; -1 for none."""
    with torch.no_grad():
        norms = [
            torch.linalg.vector_norm(plain).float()
            for gradient in gradients
            if (plain := values_of(gradient)) is not None and plain.numel()
        ]
        if not norms:
            return -1.0
        return float(torch.stack([norm.to(norms[0].device) for norm in norms]).norm())


def values_of(tensor: torch.Tensor) -> torch.Tensor | None:
    """A plain tensor with the values: the local part of a sharded one, those kept of a sparse one;
    None for fake and meta tensors, and those whose storage was let go, which have none."""
    plain = local(tensor).detach()
    if plain.device.type == "meta":
        return None
    if plain.layout == torch.sparse_coo:
        return plain._values()
    if type(plain) is not torch.Tensor or plain.layout != torch.strided:
        return None
    try:
        return None if freed(plain) else plain
    except NotImplementedError:  # batched and functional ones: no storage to ask for
        return plain


def overlap(accounts: Sequence[Account], old: Sequence[torch.Tensor]) -> Overlap | None:
    """Compare the old part of gradients (copies taken before a backward) with what the backward
    added."""
    with torch.no_grad():
        sums = [0.0, 0.0, 0.0]
        counted = 0
        for account, before in zip(accounts, old, strict=True):
            tensor = account.ref()
            gradient = tensor.grad if tensor is not None else None
            if gradient is None or gradient.shape != before.shape or gradient.is_sparse:
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
