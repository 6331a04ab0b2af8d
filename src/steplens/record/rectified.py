"""Rectified: sums that read a variable after an activation has written over it in place."""

import ast
from collections.abc import Iterator
from types import CodeType
from typing import TYPE_CHECKING

from steplens.model.event import Vain
from steplens.model.graph import GraphReading, Op
from steplens.model.site import Site
from steplens.record.settings import code_at, lines_of
from steplens.record.sought import Sought
from steplens.record.source import spans, syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

ACTIVATIONS = ("Relu", "LeakyRelu", "Elu", "Celu", "Silu", "Hardtanh", "Hardswish")
SIGNED = (
    "Convolution", "Addmm", "Mm", "Bmm", "Linear", "NativeBatchNorm", "CudnnBatchNorm",
    "NativeLayerNorm", "NativeGroupNorm",
)  # fmt: skip
DEPTH = 16  # sums of sums


class Rectified(Sought):
    """Sums that have what an activation made in place of its input."""

    def look(self, recorder: "Recorder", reading: GraphReading) -> None:
        """Find sums one part of which is what an activation made directly, and see in the source
        which variable that is."""
        self.left -= 1
        for op in reading.ops:
            if _stem(op) != "Add" or op.site is None:
                continue
            for side, place in enumerate(op.inputs[:2]):
                made = reading.ops[place] if place >= 0 else None
                if made is None or _stem(made) not in ACTIVATIONS or made.site is None:
                    continue
                if made.site in self.told or not _signed(reading, made.inputs):
                    continue
                name = overwritten(recorder, made.site, op.site, side)
                if name:
                    self.told.add(made.site)
                    at = recorder.index(), recorder.step, made.site
                    recorder.emit(Vain(*at, "rectified", name, other=op.site))


def _stem(op: Op) -> str:
    head, found, tail = op.name.partition("Backward")
    return head if found and tail.isdigit() else ""


def _signed(reading: GraphReading, inputs: tuple[int, ...], depth: int = 0) -> bool:
    """Whether what an activation is given can be below 0: a product or norm made it, or a sum of
    which a part was."""
    for place in inputs:
        op = reading.ops[place] if place >= 0 else None
        if op is None or depth > DEPTH:
            continue
        if _stem(op) in SIGNED or (_stem(op) == "Add" and _signed(reading, op.inputs, depth + 1)):
            return True
    return False


def overwritten(recorder: "Recorder", called: Site, added: Site, side: int) -> str:
    """The variable that a call of one line is given, whose result is bound to another name or used
    at once, and that a sum further down in the function has on this side, by this name or by one
    that it was given above the call, not bound anew in between. Then the sum has what the call made
    only if the call wrote in place. '' for none."""
    if (called.file, called.cell, called.function) != (added.file, added.cell, added.function):
        return ""
    code = code_at(recorder.places, called)
    tree = syntax_tree(code.co_filename) if code is not None else None
    if code is None or tree is None:
        return ""
    return _variable(tree, code, called, added, side)


def _variable(tree: ast.Module, code: CodeType, called: Site, added: Site, side: int) -> str:
    lines = lines_of(code)
    statements = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and n.lineno in lines]
    given = {name for each in statements for name in _given(each, called.line)}
    summed = {name for each in statements for name in _summed(each, added.line, side)}
    if len(given) != 1 or len(summed) != 1 or called.line > added.line:
        return ""
    given_name, name = given.pop(), summed.pop()
    since = called.line
    if name != given_name:  # `skip = x` above the call
        since = _alias(statements, name, given_name, called.line)
        if not since or any(since <= n < called.line for n in _stores(statements, given_name)):
            return ""
    between = any(since < n < added.line for n in _stores(statements, name))
    anew = name == given_name and called.line in _stores(statements, name)
    if not name or between or anew or _looped(statements, since, added.line):
        return ""
    return name


def _stores(statements: list[ast.stmt], name: str) -> list[int]:
    """The lines that bind a variable."""
    return [
        node.lineno
        for each in statements
        for node in ast.walk(each)
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
    ]


def _alias(statements: list[ast.stmt], name: str, of: str, line: int) -> int:
    """The newest line above this one that binds one variable to another, and to nothing else."""
    return max(
        (
            each.lineno
            for each in statements
            if isinstance(each, ast.Assign)
            and each.lineno < line
            and ast.unparse(each) == f"{name} = {of}"
        ),
        default=0,
    )


def _given(statement: ast.stmt, line: int) -> Iterator[str]:
    """The variables that calls on this line are given alone. Not those of a line that is but the
    call: it is there for what it writes."""
    if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)):
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and spans(node, line):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Name):
                    yield first.id


def _summed(statement: ast.stmt, line: int, side: int) -> Iterator[str]:
    """What sums on this line have on one side, by name; '' for what is no variable."""
    for node in ast.walk(statement):
        if isinstance(node, ast.BinOp):
            parts = [node.left, node.right]
        elif isinstance(node, ast.AugAssign):
            parts = [node.target, node.value]
        else:
            continue
        if isinstance(node.op, ast.Add) and spans(node, line):
            part = parts[side]
            yield part.id if isinstance(part, ast.Name) else ""


def _looped(statements: list[ast.stmt], first: int, last: int) -> bool:
    """Whether a loop holds one of two lines and not the other: what runs before is not sure."""
    return any(
        spans(node, first) != spans(node, last)
        for node in statements
        if isinstance(node, (ast.For, ast.While))
    )
