"""Exchanged: what shows that a step wrote its tensors, or exchanged the gradients it was given."""

from collections.abc import Sequence

from torch.optim import Optimizer

from steplens.record.account import Account

MOST = 8  # gradients of a step that are looked at


def counters(accounts: Sequence[Account]) -> list[int]:
    """The write counters of these tensors."""
    return [tensor._version if (tensor := account.ref()) is not None else 0 for account in accounts]


def addresses(optimizer: Optimizer, accounts: Sequence[Account]) -> list[int]:
    """Where the first gradients lie, for an optimizer whose class is not torch's own: its step may
    put what it has gathered itself in their place (``p.grad.data = total``) before it goes on. No
    counter tells of that."""
    if type(optimizer).__module__.startswith("torch."):
        return []
    return [_address(account) for account in accounts[:MOST]]


def exchanged(accounts: Sequence[Account], before: Sequence[int]) -> int:
    """How many of those gradients lie elsewhere now."""
    pairs = zip(accounts, before, strict=False)
    return sum(old > 0 and _address(account) not in (0, old) for account, old in pairs)


def _address(account: Account) -> int:
    """0 where there is no gradient, or one without memory of its own."""
    tensor = account.ref()
    try:
        return tensor.grad.data_ptr() if tensor is not None and tensor.grad is not None else 0
    except RuntimeError:  # sparse gradients, and others without a storage
        return 0
