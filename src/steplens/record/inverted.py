"""Inverted: steps of an accumulation that are taken for all batches but each k-th."""

import ast
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

from steplens.record.settings import lines_of
from steplens.record.source import syntax_tree


class Inverted(NamedTuple):
    """A line ``if i % k:`` with the line of the step under it, and its test."""

    line: int
    step: int
    test: str


def inverted(code: CodeType) -> Iterator[Inverted]:
    """The ifs in this code that run a step wherever a remainder is not 0, where the same code
    divides something by what the remainder is of."""
    if "step" not in code.co_names:
        return
    tree, lines = syntax_tree(code.co_filename), lines_of(code)
    nodes = [n for n in ast.walk(tree) if getattr(n, "lineno", 0) in lines] if tree else []
    divisors = {
        ast.unparse(node.right if isinstance(node, ast.BinOp) else node.value)
        for node in nodes
        if isinstance(node, (ast.BinOp, ast.AugAssign)) and isinstance(node.op, ast.Div)
    }
    for node in nodes:
        if not isinstance(node, ast.If) or _modulus(node.test) not in divisors:
            continue
        for part in node.body:
            if isinstance(part, ast.Expr) and ast.unparse(part.value).split("(")[0][-5:] == ".step":
                yield Inverted(node.lineno, part.lineno, ast.unparse(node.test))


def _modulus(test: ast.expr) -> str:
    """``k`` of ``i % k``, ``i % k != 0`` and ``i % k > 0``; '' for any other test."""
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], (ast.NotEq, ast.Gt)):
        test = test.left if ast.unparse(test.comparators[0]) == "0" else test
    if isinstance(test, ast.BinOp) and isinstance(test.op, ast.Mod):
        return ast.unparse(test.right)
    return ""
