"""Saved: what a graph node keeps for its backward.

What lies behind hooks of the program's is let be: to unpack it runs the program's code. A
checkpoint (``use_reentrant=False``) runs its forward again each time, and moves the statistics of
its norms.
"""

from typing import Any

import torch

from steplens.record.packing import PACKING, SHOWN

SAVED, RAW = "_saved_", "_raw_saved_"  # torch's prefixes: of the values, and of what holds them


class Packed(RuntimeError):
    """The value lies behind an unpack hook."""


def saved(node: Any, name: str) -> Any:
    """The value that the node keeps under this name (``result`` for ``_saved_result``).

    Raises Packed for one behind a hook, AttributeError where there is none, and RuntimeError, as
    torch does, for one that was freed or has been overwritten.
    """
    _, packed = raw_saved(node, name)
    if packed:
        raise Packed(f"{node.name()} keeps its {name} behind a hook")
    return getattr(node, SAVED + name)


def signed(number: int) -> int:
    """A number that may be below 0, as a node's padding or ignored index: torch gives them as 64
    bits without a sign."""
    return number - 2**64 if number >= 2**63 else number


def names(node: Any) -> list[str]:
    """The names of all that a node keeps."""
    return [name.removeprefix(SAVED) for name in dir(node) if name.startswith(SAVED)]


def raw_saved(node: Any, name: str) -> tuple[list[Any], list[Any]]:
    """torch's ``SavedTensor`` of each tensor under this name, those that no hook unpacks and those
    that one does, or may; none for a number or a shape. Where torch does not show hooks,
    ``packing`` says which may have one."""
    raw = getattr(node, RAW + name, None)
    several = raw if isinstance(raw, (tuple, list)) else (raw,)
    parts: tuple[list[Any], list[Any]] = [], []
    for each in several:
        if each is not None:
            packed = each.unpack_hook is not None if SHOWN else PACKING.may(node)
            parts[packed].append(each)
    return parts


def saved_tensors(node: Any) -> list[torch.Tensor]:
    """All tensors that the node keeps and that no hook hides; those that have been overwritten,
    too, where torch shows them without checking."""
    kept = [name.removeprefix(RAW) for name in dir(type(node)) if name.startswith(RAW)]
    found: list[Any] = []
    for name in kept:
        free, _ = raw_saved(node, name)
        if SHOWN:
            found += [raw.data for raw in free]
        elif free:
            found += _checked(node, name)
    return [each for each in found if isinstance(each, torch.Tensor)]


def _checked(node: Any, name: str) -> list[Any]:
    try:
        value = getattr(node, SAVED + name)
    except RuntimeError:  # freed, or overwritten
        return []
    return list(value) if isinstance(value, (tuple, list)) else [value]
