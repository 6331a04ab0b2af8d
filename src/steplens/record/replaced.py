"""Replaced: a tensor that was written outside its optimizer's steps, and whether its values were
replaced: put to others that bear no relation to them."""

from typing import Any

import torch

from steplens.record.account import Account


class Replaced:
    """One tensor written by hand since its optimizer's last step: the values before the first
    write, and where it was written (``caller`` is the user's line that called the writer)."""

    __slots__ = (
        "account",
        "before",
        "site",
        "caller",
        "how",
        "index",
        "state",
        "generated",
        "mask",
        "sums",
    )

    def __init__(self, account: Account, before: torch.Tensor, how: str) -> None:
        self.account = account
        self.before = before
        self.how = how
        self.site: Any = None
        self.caller: Any = None
        self.index = -1
        self.state: dict[int, int] = {}
        self.generated = False
        self.mask: torch.Tensor | None = None
        self.sums = (0.0, 0.0, 0.0, 0.0)  # |old|^2, |new|^2, old.new, |new - old|^2, over the mask


def replacements(changed: list[Replaced]) -> list[Replaced]:
    """The changed tensors whose change was a replacement.

    A replacement changes the elements it touches by more than half their norm. Values that a
    generator drew or filled in bear no relation to the old ones, other ones must point elsewhere
    (cosine under one half). Copies are judged together, as a model that is put back to a state
    near by may hold one bias that is far from it. Elements set to zero within a tensor that keeps
    others are a mask (pruning, a padding row), not a replacement.
    """
    copies = [found for found in changed if found.how == "copy_" and not found.generated]
    together = _total([found.sums for found in copies])
    kept: list[Replaced] = []
    for found in changed:
        if found.generated or found not in copies:
            fits = _is_replacement(found.sums, found.generated)
        else:
            fits = _is_replacement(together, False) and _is_replacement(found.sums, False)
        if fits:
            kept.append(found)
    return kept


def compare(found: Replaced) -> bool:
    """Fill in the mask of changed elements and their sums; whether there is any that counts."""
    tensor = found.account.ref()
    if tensor is None or tensor.shape != found.before.shape:
        return False
    now = tensor.detach()
    found.mask = mask = found.before.ne(now)
    count = int(mask.sum())
    if not count:
        return False
    old, new = (found.before * mask).double(), (now * mask).double()
    found.sums = (
        float(old.square().sum()),
        float(new.square().sum()),
        float((old * new).sum()),
        float((new - old).square().sum()),
    )
    return bool(found.sums[1]) or count == mask.numel()


def _total(sums: list[tuple[float, float, float, float]]) -> tuple[float, float, float, float]:
    columns = [sum(column) for column in zip(*sums, strict=True)] if sums else [0.0] * 4
    return columns[0], columns[1], columns[2], columns[3]


def _is_replacement(sums: tuple[float, float, float, float], generated: bool) -> bool:
    old, new, product, change = sums
    if not change > 0.25 * old:
        return False
    return generated or not (old and new) or product <= 0.5 * (old * new) ** 0.5
