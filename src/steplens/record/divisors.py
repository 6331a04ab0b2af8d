"""Divisors: what a loss was divided by at its end, and means over what a mask or an ignored label
leaves."""

from collections.abc import Sequence
from typing import Any

import torch

from steplens.record.nodes import MEAN, kept, shape_at, stem
from steplens.record.saved import saved

MOST_MASK = 1_000_000  # elements of a mask that are read


def divided(nodes: Sequence[Any]) -> tuple[tuple[float, ...], int]:
    """The numbers that a loss was divided by at its end, and the place of the op below. What it was
    multiplied with there, if more than 1 (a GradScaler's scale), is passed over. Waits for the
    device."""
    found: list[float] = []
    for place, node in enumerate(nodes):
        name = stem(node.name())
        if name == "Div" and masked(node):
            return tuple(found), place
        number = kept(node, "other") if name in ("Div", "Mul") else None
        inputs = [child for child, _ in node.next_functions if child is not None]
        plain = isinstance(number, torch.Tensor) and not number.dim()
        if not plain or len(inputs) != 1 or inputs[0] not in nodes[place + 1 : place + 2]:
            return tuple(found), place
        value = float(number) if isinstance(number, torch.Tensor) else 0.0
        if name == "Div" or 0 < value < 1:
            found.append(value if name == "Div" else 1 / value)
    return (), 0


def masked(node: Any) -> bool:
    """Whether a division makes a mean over what a mask leaves: a sum of products with a mask of
    zeros and ones, divided by the mask's own sum. Waits for the device."""
    if stem(node.name()) != "Div" or len(node.next_functions) < 1:
        return False
    total = node.next_functions[0][0]
    product = total.next_functions[0][0] if total is not None and total.next_functions else None
    if (
        total is None
        or product is None
        or (stem(total.name()), stem(product.name())) != ("Sum", "Mul")
    ):
        return False
    number = kept(node, "other")
    if not isinstance(number, torch.Tensor) or number.dim() or number.requires_grad:
        return False
    shape = shape_at(product)
    for name in ("other", "self"):
        mask = kept(product, name)
        if not isinstance(mask, torch.Tensor) or mask.requires_grad:
            continue
        if tuple(mask.shape) == shape and 1 < mask.numel() <= MOST_MASK:
            plain = mask.dtype == torch.bool or bool(((mask == 0) | (mask == 1)).all())
            return plain and float(mask.sum()) == float(number)
    return False


def labels_of(nodes: Sequence[Any], parted: tuple[tuple[float, ...], int]) -> tuple[int, int]:
    """Of a loss that was ``divided`` by one number: over how many labels the NLL loss below is
    averaged, and how many more it ignored; nothing where classes have weights. Waits for the
    device."""
    numbers, place = parted
    if len(numbers) != 1 or stem(nodes[place].name()) not in ("NllLoss", "NllLoss2D"):
        return 0, 0
    loss = nodes[place]
    if kept(loss, "reduction") != MEAN or saved(loss, "weight") is not None:
        return 0, 0
    total, target = kept(loss, "total_weight"), kept(loss, "target")
    if not isinstance(total, torch.Tensor) or not isinstance(target, torch.Tensor):
        return 0, 0
    count = round(float(total))
    return count, target.numel() - count
