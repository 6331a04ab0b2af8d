"""Scores: whether a loss gives one weight to the `log_prob` of all that was drawn, whatever came of
it."""

from typing import Any

import torch

from steplens.record.graph import Walk, sequence_number
from steplens.record.nodes import kept, shape_at, stem
from steplens.record.saved import saved

PASSING = frozenset((
    "Add", "View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Sum", "Select", "Clone",
    "Expand", "Transpose", "Permute",
))  # fmt: skip
FEW = 8  # samples: fewer may be the parts of one


def weight(walk: Walk, number: int) -> float | None:
    """What the loss multiplies each value by that the node of this sequence number made; None where
    that is not one number, or is not known."""
    users: dict[Any, list[Any]] = {}
    node = None
    for each in walk.nodes:
        if sequence_number(each) == number:
            node = each
        for child, _ in each.next_functions:
            if child is not None:
                users.setdefault(child, []).append(each)
    found = 1.0
    while node is not None and node in users:
        user = users[node][0]
        factor = _factor(node, user) if len(users[node]) == 1 else None
        if factor is None:
            return None
        found, node = found * factor, user
    return found if node is walk.nodes[0] else None


def _factor(node: Any, user: Any) -> float | None:
    name = stem(user.name())
    inputs = [child for child, _ in user.next_functions]
    if name in PASSING:
        return 1.0
    if name == "Neg":
        return -1.0
    if name == "Sub":
        return 1.0 if inputs[0] is node else -float(saved(user, "alpha"))
    if name == "Mean":
        sizes = shape_at(user), tuple(int(size) for size in user._saved_self_sym_sizes)
        return _count(sizes[0]) / _count(sizes[1])
    if name in ("Mul", "Div") and inputs[0] is node:
        other = kept(user, "other")
        if isinstance(other, torch.Tensor) and other.numel() == 1 and not other.requires_grad:
            value = float(other.detach())
            return value if name == "Mul" else 1 / value
    if name == "Mul" and inputs[-1] is node:
        one = kept(user, "self")
        if isinstance(one, torch.Tensor) and one.numel() == 1 and not one.requires_grad:
            return float(one.detach())
    return None


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return max(count, 1)


def many(shape: tuple[int, ...]) -> bool:
    """Whether values of this shape belong to several samples for sure, each in several parts."""
    return len(shape) > 1 and shape[0] >= FEW
