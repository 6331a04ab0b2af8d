"""The tensors in what calls are given and give."""

from collections.abc import Iterator
from typing import Any

import torch


def tensors_in(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    """The tensors in nested tuples, lists, dicts and plain objects such as model outputs. No method
    of a class of the program's is called: it may refuse, or do something."""
    kind = type(value)
    if isinstance(value, torch.Tensor):
        yield value
    elif issubclass(kind, dict):
        if depth < 4:
            for item in dict.values(value):
                yield from tensors_in(item, depth + 1)
    elif issubclass(kind, (tuple, list)):
        if depth < 4:
            for item in first_of(value):
                yield from tensors_in(item, depth + 1)
    elif hasattr(kind, "__dataclass_fields__") and depth < 3:
        yield from tensors_in(list(attributes(value).values()), depth + 1)


def first_of(value: Any) -> Any:
    """The first elements of a list or tuple, whatever its class makes of indices."""
    base: Any = list if issubclass(type(value), list) else tuple
    return base.__getitem__(value, slice(64))


def attributes(value: Any) -> dict[str, Any]:
    """The attributes that an object holds itself, whatever its class makes of them."""
    try:
        return dict(object.__getattribute__(value, "__dict__"))
    except AttributeError:  # slots
        return {}
