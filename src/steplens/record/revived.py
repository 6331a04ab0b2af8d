"""Revived: elements that were set to zero by hand, have had no gradient since, and are moved by the
state of the optimizer alone."""

from typing import TYPE_CHECKING, Any

import torch

from steplens.record.account import Account

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.replaced import Replaced

LEAST = 8  # elements of one tensor
MOST = 1 << 22  # elements of the masks kept


class Zeroed:
    """Of each optimizer, the tensors some of whose elements were set to zero before its newest step
    and had no gradient in it, while others had one."""

    def __init__(self) -> None:
        self.waiting: dict[int, list[Replaced]] = {}

    def put(self, number: int, written: list["Replaced"]) -> None:
        """Before a step: remember what was zeroed since the one before."""
        found = [one for one in written if _zeroed(one) and not _pulled(one)]
        if found and sum([one.before.numel() for one in found]) <= MOST:
            self.waiting[number] = found

    def take(self, recorder: "Recorder", number: int, accounts: list[Account]) -> list["Replaced"]:
        """Before the step after: those that the last one moved away from zero, with no gradient
        then or now. Who zeroes them again after each step, or clears the state, has none."""
        waiting = self.waiting.pop(number, [])
        held = {account.number for account in accounts}
        return [
            one
            for one in waiting
            if one.account.number in held and _moved(one) and not _pulled(one)
        ]


def _zeroed(one: "Replaced") -> bool:
    """Whether a write set some elements of a tensor to zero, and changed no other."""
    mask, tensor = one.mask, one.account.ref()
    if mask is None or tensor is None or one.sums[1]:
        return False
    return LEAST <= int(mask.sum()) < mask.numel()


def _pulled(one: "Replaced") -> bool:
    """Whether one of these elements has a gradient, or no element of the tensor has."""
    tensor: Any = one.account.ref()
    slope = tensor.grad if tensor is not None else None
    if slope is None or one.mask is None or slope.shape != one.mask.shape:
        return True
    return bool((slope * one.mask).any()) or not bool(slope.any())


def _moved(one: "Replaced") -> bool:
    tensor: Any = one.account.ref()
    if tensor is None or one.mask is None or tensor.shape != one.mask.shape:
        return False
    with torch.no_grad():
        count = int((tensor.detach() * one.mask).ne(0).sum())
    return 2 * count >= int(one.mask.sum())
