"""Nodes: what a graph node is called, the shape of what it made, and what it kept, as far as it can
be read."""

from typing import Any

from steplens.record.saved import saved

MEAN, SUM = 1, 2  # of the reductions in `aten/src/ATen/core/Reduction.h`


def stem(name: str) -> str:
    """``Mul`` of ``MulBackward0``; '' for a node that is not one of torch's own operations."""
    head, found, tail = name.partition("Backward")
    return head if found and tail.isdigit() else ""


def outputs(node: Any) -> Any:
    """What torch tells of each output of a node's operation; nothing of any before torch 2.5."""
    return getattr(node, "_input_metadata", ())


def shape_at(node: Any, output: int = 0) -> tuple[int, ...]:
    """The shape of one output of a node's operation; () where it is not told."""
    data = outputs(node)
    return tuple(int(size) for size in data[output].shape) if output < len(data) else ()


def kept(node: Any, name: str) -> Any:
    """What the node keeps under this name; None when it keeps nothing, has been freed, or has it
    behind a hook."""
    try:
        return saved(node, name)
    except (AttributeError, RuntimeError):
        return None
