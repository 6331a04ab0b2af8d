"""The tensors in what calls are given and give."""

from collections.abc import Iterator
from typing import Any

import torch


def tensors_in(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    """The tensors in nested tuples, lists, dicts and plain objects such as model outputs."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        if depth < 4:
            for item in value.values():
                yield from tensors_in(item, depth + 1)
    elif isinstance(value, (tuple, list)):
        if depth < 4:
            for item in value[:64]:
                yield from tensors_in(item, depth + 1)
    elif hasattr(value, "__dataclass_fields__") and depth < 3:
        yield from tensors_in(
            list(vars(value).values()) if hasattr(value, "__dict__") else [], depth + 1
        )
