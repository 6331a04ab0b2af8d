"""Turned: losses that were given their labels first and the prediction second."""

from collections.abc import Sequence
from typing import Any

import torch

from steplens.record.nodes import kept, stem

NEAR = 64  # nodes among which the loss is looked for
LOSSES = frozenset(("BinaryCrossEntropy", "BinaryCrossEntropyWithLogits"))
FEWEST, MOST = 4, 1_000_000  # elements


def turned(nodes: Sequence[Any]) -> tuple[int, ...]:
    """The binary cross-entropies whose first argument has no graph and lies between 0 and 1 (where
    logits stand, at 0 and 1 alone), while the second one is the outcome of a graph."""
    found: list[int] = []
    for place, node in enumerate(nodes[:NEAR]):
        if stem(node.name()) not in LOSSES:
            continue
        first, second = (child for child, _ in node.next_functions[:2])
        made = first is None and second is not None and bool(second.next_functions)
        values = kept(node, "self") if made else None
        if not isinstance(values, torch.Tensor) or not FEWEST <= values.numel() <= MOST:
            continue
        values = values.detach()
        known = (values == 0) | (values == 1)
        if not stem(node.name()).endswith("WithLogits"):
            known |= (values > 0) & (values < 1)
        if bool(known.all()) and bool(values.any()):
            found.append(place)
    return tuple(found)
