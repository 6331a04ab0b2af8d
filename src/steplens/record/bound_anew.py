"""Bound anew: losses that are computed, and whose variable is bound to another value before it is
read."""

import ast
import re
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

from steplens.record.settings import lines_of
from steplens.record.source import FUNCTIONS, syntax_tree

# what a call that only computes is named for: one of the user's may train as well
PURE = re.compile(r"(loss|criterion|entropy)(_fn)?$|^(mse|bce|nll|mean|sum|kl_div)$", re.IGNORECASE)


class Lost(NamedTuple):
    """A line that computes ``name``, and the line that binds it anew."""

    line: int
    again: int
    name: str


def bound_anew(code: CodeType) -> Iterator[Lost]:
    """The statements of this code that bind a variable to a loss, before another in the same block
    does, with nothing that reads it between, in a function that goes backward from it."""
    if "backward" not in code.co_names:
        return
    tree, lines = syntax_tree(code.co_filename), lines_of(code)
    for block in ast.walk(tree) if tree is not None else ():
        for part in ("body", "orelse"):
            body = getattr(block, part, None)
            if isinstance(body, list) and body and getattr(body[0], "lineno", 0) in lines:
                yield from (lost for lost in _in(body) if lost.line in lines)


def _in(body: list[ast.stmt]) -> Iterator[Lost]:
    backed = {
        ast.unparse(node.value)
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute) and node.attr == "backward"
    }
    waiting: dict[str, ast.stmt] = {}
    for statement in body:
        name = _bound(statement)
        read = {
            node.id
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load | ast.Del)
        }
        if isinstance(statement, (*FUNCTIONS, ast.ClassDef, ast.Try)):
            return
        for each in read & {*waiting}:
            del waiting[each]
        if name in waiting:
            yield Lost(waiting.pop(name).lineno, statement.lineno, name)
        if name in backed and isinstance(statement, ast.Assign) and _computes(statement.value):
            waiting[name] = statement


def _bound(statement: ast.stmt) -> str:
    """The one variable that an assignment binds, '' for another statement."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return ""
    target = statement.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


def _computes(value: ast.expr) -> bool:
    """Whether a value is made of calls that compute a loss, and nothing else."""
    if isinstance(value, ast.BinOp):
        return any(map(_computes, (value.left, value.right))) and all(
            _computes(part) or not any(isinstance(n, ast.Call) for n in ast.walk(part))
            for part in (value.left, value.right)
        )
    if isinstance(value, ast.UnaryOp):
        return _computes(value.operand)
    if not isinstance(value, ast.Call):
        return False
    called = value.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return bool(PURE.search(name)) and not any(
        isinstance(node, ast.NamedExpr) for node in ast.walk(value)
    )
