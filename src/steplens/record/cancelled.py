"""Cancelled: sums on one line of which a value is a part twice, added and taken away."""

import ast
from typing import TYPE_CHECKING, Any

from steplens.model.event import Vain
from steplens.model.graph import GraphReading, Op
from steplens.model.site import Site
from steplens.record.graph import Walk
from steplens.record.nodes import shape_at
from steplens.record.places import Places
from steplens.record.settings import tree_at
from steplens.record.sought import Sought
from steplens.record.source import spans

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

SUMS = (ast.Add, ast.Sub)
Input = tuple[Any, int]  # a node, and which of its outputs


class Cancelled(Sought):
    """Sums whose value has no gradient through them.

    The gradient of ``z`` in ``z + (q - z)`` is ``g - g``: 0, to the bit. SL603 looks for the same
    in readings (``rules/slopes.py``), where gradients have been measured to be 0; these do not say
    which of an operation's outputs an input is.
    """

    def look(self, recorder: "Recorder", walk: Walk, reading: GraphReading) -> None:
        """Find such sums in a graph."""
        self.left -= 1
        nodes = walk.operations()
        known = dict(zip(nodes, reading.ops, strict=False))
        for node, op in known.items():
            if op.site is None or op.site in self.told or not _plain(op):
                continue
            first, *others = node.next_functions
            for inner, rest in ((first, others), *[(each, [first]) for each in others]):
                made = known.get(inner[0])
                if made is None or made.site != op.site or not _plain(made):
                    continue
                if any(_undone(op, node, made, inner, value) for value in rest):
                    self.told.add(op.site)
                    if not _written(recorder.places, op.site):
                        break
                    at = recorder.index(), recorder.step, op.site
                    recorder.emit(Vain(*at, "cancelled", made.name))
                    break


def _written(places: Places, site: Site) -> bool:
    """Whether the line itself adds a value and takes it away. A library that it calls may do so
    within: the `log_prob` of a sample that `rsample` drew takes away the mean that this added."""
    tree = tree_at(places, site)
    return tree is None or any(
        _twice(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.BinOp) and spans(node, site.line)
    )


def _twice(outer: ast.BinOp) -> bool:
    """Whether a side of a sum or difference is, by its text, a side of one on its other side."""
    for value, rest in ((outer.left, outer.right), (outer.right, outer.left)):
        if isinstance(outer.op, SUMS) and isinstance(rest, ast.BinOp) and isinstance(rest.op, SUMS):
            text = ast.unparse(value)
            if text in (ast.unparse(rest.left), ast.unparse(rest.right)):
                return True
    return False


def _plain(op: Op) -> bool:
    return op.name in ("AddBackward0", "SubBackward0") and op.saved.get("alpha", 1) == 1


def _undone(op: Op, node: Any, made: Op, inner: Input, value: Input) -> bool:
    """Whether ``value``, a part of the sum or difference that ``node`` made, undoes itself in
    ``inner``, the other part: ``(a - v) + v``, ``v + (a - v)``, ``(v + a) - v`` or ``(a + v) - v``,
    all of one shape."""
    parts = inner[0].next_functions
    if value[0] is None or len(parts) < 2:
        return False
    shape = shape_at(node)
    if not shape or not shape == shape_at(inner[0]) == shape_at(*value):
        return False
    if op.name == "AddBackward0":
        return made.name == "SubBackward0" and parts[1] == value
    taken = node.next_functions[1] == value  # the one that is taken away
    return made.name == "AddBackward0" and taken and value in parts
