"""Raw: a `kl_div` that is given what a layer gave, as it is, for log-probabilities."""

from typing import Any

import torch

from steplens.model.graph import LogProbs
from steplens.record.nodes import shape_at

LAYERS = frozenset(("Addmm", "Mm", "Bmm", "Convolution", "Linear"))
MOST_TARGET = 1_000_000  # elements of a target that are read
CLOSE = 1e-2  # how far from 1 a distribution's sum may be


def raw(place: int, target: torch.Tensor | None, layer: Any, at: int) -> list[LogProbs]:
    """What the op ``place`` was given by a layer, the op ``at``, where its target is a
    distribution: nothing has made logarithms of it. A layer keeps nothing of what it gave."""
    if target is None or tuple(target.shape) != shape_at(layer) or not target.dim():
        return []
    if target.shape[-1] < 2 or target.numel() > MOST_TARGET or bool((target < 0).any()):
        return []
    apart = (target.detach().double().sum(-1) - 1).abs()
    return [] if bool((apart > CLOSE).any()) else [LogProbs(place, 0, 0, None, None, at)]
