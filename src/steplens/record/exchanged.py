"""Exchanged: what shows that a step wrote its tensors, or used other gradients than those there."""

import inspect
from collections.abc import Sequence
from types import FunctionType

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


def gathers(kind: type) -> bool:
    """Whether a class of the program's own reads gradients in a method of another name than torch's
    optimizers have, as one that adds up what it has clipped of each sample does, for its step."""
    own = [each for each in kind.__mro__ if not each.__module__.startswith("torch.")]
    return any(
        "grad" in code.co_names
        for each in own
        for name, method in vars(each).items()
        if name not in vars(Optimizer)
        and isinstance(method, FunctionType)
        and (code := getattr(inspect.unwrap(method), "__code__", None)) is not None
    )


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
