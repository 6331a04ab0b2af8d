"""GraphReading: the autograd graph behind a loss, walked once."""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import torch
from torch.autograd.function import BackwardCFunction

from steplens.model.graph import OPS_READ, GraphReading, Op
from steplens.model.site import Site
from steplens.record.divisors import masked
from steplens.record.losses import facts
from steplens.record.nodes import MEAN, shape_at
from steplens.record.saved import saved
from steplens.record.silence import aside

LEAF_NUMBER = 2**64 - 1  # the sequence number torch gives to every AccumulateGrad

with aside(), torch.enable_grad():
    _leaf = torch.zeros(1, requires_grad=True)
    ACCUMULATE: Any = type(_leaf.view(1).grad_fn.next_functions[0][0])  # type: ignore[union-attr]
    del _leaf

SAVED = ("dim", "reduction", "p", "training", "train", "alpha", "correction", "keepdim", "exponent")


class Walk:
    """All nodes of a graph, breadth first from the roots, and the tensors at its leaves."""

    __slots__ = ("nodes", "leaves", "numbers", "oldest")

    def __init__(self, roots: Iterable[torch.Tensor]) -> None:
        nodes: list[Any] = []
        leaves: list[torch.Tensor] = []
        seen: set[Any] = set()
        for root in roots:
            node = root.grad_fn
            if node is not None and node not in seen:
                seen.add(node)
                nodes.append(node)
            elif node is None and root.requires_grad:
                leaves.append(root)
        for node in nodes:
            if type(node) is ACCUMULATE:
                leaves.append(node.variable)
                continue
            for child, _ in node.next_functions:
                if child is not None and child not in seen:
                    seen.add(child)
                    nodes.append(child)
        self.nodes = nodes
        self.leaves = leaves
        self.numbers: list[int] | None = None
        self.oldest: Any = None  # the node made first, known once ``sequence`` has been called

    def operations(self) -> list[Any]:
        """The nodes that are operations, in order: those of a reading's ops, as far as it goes."""
        return [node for node in self.nodes if type(node) is not ACCUMULATE]

    def sequence(self) -> list[int]:
        """The sequence numbers of all nodes, sorted: the order in which the forward made them, per
        thread."""
        if self.numbers is None:
            found: list[int] = []
            least = LEAF_NUMBER
            for node in self.nodes:
                if type(node) is not ACCUMULATE:
                    number = sequence_number(node)
                    found.append(number)
                    if 0 <= number < least:
                        least, self.oldest = number, node
            found.sort()
            self.numbers = found
        return self.numbers

    def older(self, number: int) -> int:
        """How many nodes were made before this sequence number."""
        return bisect_left(self.sequence(), number) if number > 0 else 0

    def reaches(self, start: int, end: int) -> bool:
        """Whether a node was made between two sequence numbers (half open)."""
        numbers = self.sequence()
        return bisect_left(numbers, start) < bisect_left(numbers, end)


def sequence_number(node: Any) -> int:
    """The node's sequence number; -1 for a foreign node that has none."""
    try:
        return node._sequence_nr()
    except AttributeError:
        return -1


def reading(
    walk: Walk,
    site_of: Callable[[int], Site | None],
    forward_of: Callable[[int], int],
    leaf_of: Callable[[torch.Tensor], int],
    old_before: int,
) -> GraphReading:
    """The full GraphReading of a walk: shapes, operations, the lines and forwards that made
    them."""
    kept = walk.operations()[:OPS_READ]
    places = {node: position for position, node in enumerate(kept)}
    ops = tuple(_op(node, places, site_of, forward_of, leaf_of) for node in kept)
    return GraphReading(len(walk.nodes), ops, walk.older(old_before), *facts(kept))


def _op(
    node: Any,
    places: dict[Any, int],
    site_of: Callable[[int], Site | None],
    forward_of: Callable[[int], int],
    leaf_of: Callable[[torch.Tensor], int],
) -> Op:
    number = sequence_number(node)
    inputs: list[int] = []
    leaves: list[int] = []
    child: Any
    for child, _ in node.next_functions:
        inputs.append(places.get(child, -1) if child is not None else -1)
        if child is not None and type(child) is ACCUMULATE:
            leaves.append(leaf_of(child.variable))
    return Op(
        node.name(),
        _shape(node),
        tuple(inputs),
        tuple(leaves),
        site_of(number),
        _saved(node),
        forward_of(number),
    )


def _shape(node: Any) -> tuple[int, ...]:
    try:
        return shape_at(node)
    except Exception:
        return ()


@lru_cache(maxsize=1024)
def _saves(kind: type) -> tuple[str, ...]:
    """Which of the SAVED things nodes of this kind have, tensors left out."""
    return tuple(
        [
            name
            for name in SAVED
            if hasattr(kind, f"_saved_{name}") and not hasattr(kind, f"_raw_saved_{name}")
        ]
    )


def _saved(node: Any) -> dict[str, int | float | bool | str]:
    if isinstance(node, BackwardCFunction):
        return {}
    found: dict[str, int | float | bool | str] = {}
    for name in _saves(type(node)):
        try:
            value = getattr(node, f"_saved_{name}", None)
        except RuntimeError:  # freed by an earlier backward
            continue
        if isinstance(value, tuple) and len(value) == 1:
            value = value[0]
        if isinstance(value, int) and value > LEAF_NUMBER // 2:
            value -= LEAF_NUMBER + 1  # a negative dim, read as unsigned
        if isinstance(value, (bool, int, float)):
            found[name] = value
    if node.name() == "IndexBackward0":
        found["picked"] = _picked(node)
    if masked(node):
        found["reduction"] = MEAN
    return found


def _picked(node: Any) -> int:
    """How many dimensions an indexing by integer tensors picked from; 0 for masks."""
    try:
        indices = [index for index in saved(node, "indices") if index is not None]
    except RuntimeError:
        return 0
    return len(indices) if all(index.dtype != torch.bool for index in indices) else 0
