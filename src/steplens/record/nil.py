"""Nil: losses of two things that are the same to the last bit."""

from collections.abc import Sequence
from typing import Any

import torch

from steplens.record.nodes import kept, stem

LOSSES = frozenset(("MseLoss", "SmoothL1Loss", "HuberLoss"))
FUNCTIONS = frozenset(("mse_loss", "smooth_l1_loss", "huber_loss", "l1_loss"))
FEW, MOST = 4, 1_000_000  # elements that are compared


def nil(nodes: Sequence[Any]) -> tuple[int, ...]:
    """The places of the losses whose prediction is their target."""
    found: list[int] = []
    for place, node in enumerate(nodes):
        if stem(node.name()) in LOSSES and one(kept(node, "self"), kept(node, "target")):
            found.append(place)
    return tuple(found)


def one(prediction: Any, target: Any) -> bool:
    """Whether two tensors are the same in every element, and no mere constant."""
    if not isinstance(prediction, torch.Tensor) or not isinstance(target, torch.Tensor):
        return False
    same = prediction.shape == target.shape and prediction.dtype == target.dtype
    if not same or not FEW <= prediction.numel() <= MOST:
        return False
    held = prediction.detach()
    first = held.reshape(-1)[0]
    return torch.equal(held, target.detach()) and not bool((held == first).all())
