"""Scattered: rows added to places by an index that names a place more than once."""

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Vain
from steplens.model.graph import GraphReading, Op
from steplens.model.site import Site
from steplens.record.graph import Walk
from steplens.record.nodes import kept
from steplens.record.settings import code_at
from steplens.record.sought import Sought
from steplens.record.source import spans, syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 1_000_000  # indices that are compared
WHOLE = (torch.int64, torch.int32)  # an index of places; a mask names each once
ADDING = ("AddBackward0", "SubBackward0")


class Scattered(Sought):
    """Rows added to places, of which some are lost.

    ``x[i] += v`` reads ``x[i]``, adds and writes back: where ``i`` names a place twice, one of the
    two sums stays. torch calls the order undefined (``Tensor.index_put_`` with ``accumulate=False``
    in its documentation); the backward gives the lost rows a gradient all the same.
    """

    def look(self, recorder: "Recorder", walk: Walk, reading: GraphReading) -> None:
        """Find such writes in a graph, and see in the source that they add to what stood there."""
        self.left -= 1
        nodes = walk.operations()
        for node, op in zip(nodes, reading.ops, strict=False):
            if op.name != "IndexPutBackward0" or op.site is None or op.site in self.told:
                continue
            indices = _indices(recorder, node)
            if not indices or not _rows_of_their_own(reading, nodes, op, indices):
                continue
            rows, places = indices[0].numel(), _distinct(indices)
            name = _target(recorder, op.site) if places < rows else ""
            if name:
                self.told.add(op.site)
                at = recorder.index(), recorder.step, op.site
                recorder.emit(Vain(*at, "scattered", name, value=rows - places, of=rows))


def _indices(recorder: "Recorder", node: Any) -> list[torch.Tensor]:
    """The indices of one write that replaces, spread to one shape; none if they are masks, cannot
    be read now, or are too many."""
    if kept(node, "accumulate") is not False:
        return []
    found = [each for each in kept(node, "indices") or () if each is not None]
    for each in found:
        if each.dtype not in WHOLE or not recorder.cadence.may_read(each):
            return []
    spread = list(torch.broadcast_tensors(*found)) if found else []
    return spread if spread and spread[0].numel() <= MOST else []


def _distinct(indices: list[torch.Tensor]) -> int:
    """How many places these indices name."""
    return torch.stack([each.reshape(-1) for each in indices]).unique(dim=1).shape[1]


def _rows_of_their_own(
    reading: GraphReading, nodes: list[Any], op: Op, indices: list[torch.Tensor]
) -> bool:
    """Whether what is written is a sum to which each index brings a row of its own: computed, not
    one row spread over all, nor looked up by the same index, which gives a place the same twice."""
    made = op.inputs[1] if len(op.inputs) > 1 else -1
    if made < 0 or reading.ops[made].name not in ADDING:
        return False
    shape = tuple(indices[0].shape)
    return any(
        place >= 0
        and reading.ops[place].shape[: len(shape)] == shape
        and not reading.ops[place].name.startswith("Expand")
        and not _looked_up(nodes[place], indices)
        for place in reading.ops[made].inputs
    )


def _looked_up(node: Any, indices: list[torch.Tensor]) -> bool:
    if node.name() == "IndexSelectBackward0":
        by = [kept(node, "index")]
    elif node.name() == "IndexBackward0":
        by = [each for each in kept(node, "indices") or () if each is not None]
    else:
        return False
    return len(by) == len(indices) and all(
        one is not None and one.shape == other.shape and torch.equal(one, other)
        for one, other in zip(by, indices, strict=True)
    )


def _target(recorder: "Recorder", site: Site) -> str:
    """What the statement of a line adds to, as it is written there: ``x[i]`` of ``x[i] += v`` and
    of ``x[i] = x[i] + v``. '' for any other statement, and where there are several."""
    code = code_at(recorder.places, site)
    tree = syntax_tree(code.co_filename) if code is not None else None
    found = list(_added_to(tree, site.line)) if tree is not None else []
    return found[0] if len(found) == 1 else ""


def _added_to(tree: ast.Module, line: int) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign) and spans(node, line):
            if isinstance(node.target, ast.Subscript) and isinstance(node.op, (ast.Add, ast.Sub)):
                yield ast.unparse(node.target)
        elif isinstance(node, ast.Assign) and spans(node, line):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Subscript) and isinstance(value, ast.BinOp):
                parts = [ast.unparse(part) for part in (value.left, value.right)]
                if isinstance(value.op, (ast.Add, ast.Sub)) and ast.unparse(target) in parts:
                    yield ast.unparse(target)
