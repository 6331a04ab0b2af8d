"""Single: losses whose labels are all the same."""

from collections.abc import Sequence
from typing import Any

import torch

from steplens.model.graph import Single
from steplens.record.nodes import kept, stem
from steplens.record.saved import signed

NEAR = 64  # nodes among which the loss is looked for
FEWEST, MOST = 8, 1_000_000  # labels


def single(nodes: Sequence[Any]) -> tuple[Single, ...]:
    """What is known of the labels of each NLL loss of one label for each sample."""
    found: list[Single] = []
    for place, node in enumerate(nodes[:NEAR]):
        target = kept(node, "target") if stem(node.name()) == "NllLoss" else None
        if not isinstance(target, torch.Tensor) or not FEWEST <= target.numel() <= MOST:
            continue
        low, high = (int(end) for end in target.detach().aminmax())
        if low != signed(kept(node, "ignore_index")):
            found.append(Single(place, target.numel(), low, high))
    return tuple(found)
