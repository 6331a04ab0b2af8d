"""Counters: torch's own numbers, which show what was done: of graph nodes made, of writes."""

from typing import Any

import torch

sequence_now = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]


def parameters(optimizer: Any) -> list[Any]:
    """The tensors of an optimizer's groups."""
    groups = optimizer.param_groups
    if len(groups) == 1:
        return groups[0]["params"]  # type: ignore[no-any-return]
    return [tensor for group in groups for tensor in group["params"]]


def versions_of(gradients: list[Any]) -> list[int]:
    """The write counters of gradients, -1 where there is none."""
    return [-1 if one is None else one._version for one in gradients]
