"""Saved: what a graph node keeps for its backward.

What lies behind hooks of the program's is let be: to unpack it runs the program's code. A
checkpoint (``use_reentrant=False``) runs its forward again each time, and moves the statistics of
its norms.
"""

from typing import Any

import torch


class Packed(RuntimeError):
    """The value lies behind an unpack hook."""


def saved(node: Any, name: str) -> Any:
    """The value that the node keeps under this name (``result`` for ``_saved_result``).

    Raises Packed for one behind a hook, AttributeError where there is none, and RuntimeError, as
    torch does, for one that was freed or has been overwritten. Before torch 2.6 a hook cannot be
    seen: every tensor counts as packed.
    """
    for raw in raw_saved(node, name):
        if getattr(raw, "unpack_hook", raw) is not None:
            raise Packed(f"{node.name()} keeps its {name} behind a hook")
    return getattr(node, f"_saved_{name}")


def raw_saved(node: Any, name: str) -> list[Any]:
    """torch's ``SavedTensor`` of each tensor under this name; none for a number or a shape."""
    raw = getattr(node, f"_raw_saved_{name}", None)
    several = raw if isinstance(raw, (tuple, list)) else (raw,)
    return [each for each in several if each is not None]


def saved_tensors(node: Any) -> list[torch.Tensor]:
    """All tensors that the node keeps and that no hook hides, without checking whether they have
    been overwritten."""
    names = [name for name in dir(type(node)) if name.startswith("_raw_saved_")]
    return [
        raw.data
        for name in names
        for raw in raw_saved(node, name.removeprefix("_raw_saved_"))
        if getattr(raw, "unpack_hook", raw) is None and isinstance(raw.data, torch.Tensor)
    ]
