"""Unreachable: targets of a loss that lie beyond the range of what made its prediction."""

from collections.abc import Sequence
from typing import Any

import torch

from steplens.model.graph import Unreachable
from steplens.record.nodes import MEAN, SUM, kept, stem
from steplens.record.saved import signed

RANGES = {"Relu": (0.0, None), "Sigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Tanh": (-1.0, 1.0)}
LOSSES = frozenset(("MseLoss", "SmoothL1Loss", "HuberLoss"))
MOVING = frozenset((
    "View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute", "Transpose", "Clone",
))  # fmt: skip
MOST = 1_000_000  # elements of a target that are read
FEW = 4
SHARE = 0.25  # of the target's variance: noise around the end of a range is far less
OFTEN = 0.1  # of the samples have several labels
DEEP = 6  # changes of shape between the two


def unreachable(nodes: Sequence[Any]) -> tuple[Unreachable, ...]:
    """The losses whose targets lie beyond what their predictions can come to, for a good part of
    what there is to learn."""
    found: list[Unreachable] = []
    places = {node: place for place, node in enumerate(nodes)}
    for place, node in enumerate(nodes):
        if stem(node.name()) in LOSSES:
            maker = _maker(node)
            if maker is not None and maker in places:
                found += _judged(place, places[maker], node, *RANGES[stem(maker.name())])
        elif stem(node.name()) == "BinaryCrossEntropy":
            maker = _maker(node)
            if maker is not None and maker in places and stem(maker.name()) == "Softmax":
                target, made = kept(node, "target"), kept(maker, "result")
                found += _several(place, places[maker], target, made, maker)
        elif stem(node.name()) == "Div":
            soft, product = _cross_entropy(node)
            if soft is not None and soft in places:
                target, made = kept(product, "other"), kept(soft, "result")
                found += _several(place, places[soft], target, made, soft)
    return tuple(found)


def _maker(loss: Any) -> Any:
    """The activation that made a loss's prediction, through changes of shape; the target has no
    graph."""
    inputs = [child for child, _ in loss.next_functions if child is not None]
    if len(inputs) != 1 or loss.next_functions[0][0] is None:
        return None
    node = inputs[0]
    for _ in range(DEEP):
        if stem(node.name()) in RANGES:
            return node
        children = [child for child, _ in node.next_functions if child is not None]
        if stem(node.name()) not in MOVING or len(children) != 1:
            return None
        node = children[0]
    return None


def _judged(
    place: int, maker: int, node: Any, low: float | None, high: float | None
) -> list[Unreachable]:
    if kept(node, "reduction") not in (MEAN, SUM):  # some of it may be left out later
        return []
    target = kept(node, "target")
    if not isinstance(target, torch.Tensor) or not FEW <= target.numel() <= MOST:
        return []
    values = target.detach().double()
    beyond = values - values.clamp(low, high)
    spread = (values - values.mean()).square().sum()
    share = float(beyond.square().sum() / spread)
    if not SHARE <= share < float("inf"):
        return []
    count = int((beyond != 0).sum())
    return [
        Unreachable(
            place, maker, count, values.numel(), float(values.min()), float(values.max()), share
        )
    ]


def _cross_entropy(mean: Any) -> tuple[Any, Any]:
    """The log-softmax of what a layer with a bias gave, and the product with its target, of a
    `cross_entropy` whose target is a distribution, ``-(input * target).sum() / samples``; None for
    anything else, as a log-likelihood that is summed for each sample (`sum(1).mean()`)."""
    node = mean
    for name in ("NegBackward0", "SumBackward0", "MulBackward0"):
        node = node.next_functions[0][0] if node is not None and node.next_functions else None
        if node is None or node.name() != name:
            return None, None
    ends = [child for child, _ in node.next_functions]
    if len(ends) != 2 or ends[0] is None or ends[1] is not None:
        return None, None
    layer = ends[0].next_functions[0][0] if stem(ends[0].name()) == "LogSoftmax" else None
    return (ends[0], node) if layer is not None and stem(layer.name()) == "Addmm" else (None, None)


def _several(place: int, maker: int, target: Any, made: Any, softmax: Any) -> list[Unreachable]:
    """Samples with several labels of 1, as a part of all, where the predictions sum to 1."""
    if not isinstance(target, torch.Tensor) or not isinstance(made, torch.Tensor):
        return []
    if target.shape != made.shape or not FEW <= target.numel() <= MOST:
        return []
    dim = signed(kept(softmax, "dim"))
    if target.shape[dim] < FEW - 1 or not bool(((target == 0) | (target == 1)).all()):
        return []
    sums = target.detach().sum(dim)
    count, of = int((sums > 1).sum()), sums.numel()
    if count < OFTEN * of:
        return []
    return [Unreachable(place, maker, count, of, float(sums.min()), float(sums.max()), count / of)]
