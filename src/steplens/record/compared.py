"""Compared: loops of the user's code that compare ``requires_grad`` where they were to set it."""

import ast
from collections.abc import Iterator
from types import CodeType

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.settings import ran
from steplens.record.source import syntax_tree


def comparisons(places: Places) -> list[tuple[Site, str]]:
    """The lines of code that ran in which ``for p in x.parameters(): p.requires_grad == False``
    stands, and the last name of what the loop goes through (``x``).

    The value of such a statement goes nowhere: it can only have been meant as ``=``.
    """
    found: list[tuple[Site, str]] = []
    for code in ran(places):
        if "requires_grad" in code.co_names:
            lines = {line for _, _, line in code.co_lines() if line}
            for line, name in _loops(code):
                if line in lines:
                    found.append((places.line(code, line), name))
    return found


def _loops(code: CodeType) -> Iterator[tuple[int, str]]:
    tree = syntax_tree(code.co_filename)
    for loop in ast.walk(tree) if tree is not None else ():
        if isinstance(loop, ast.For):
            for node in (each for part in loop.body for each in ast.walk(part)):
                if isinstance(node, ast.Expr) and _compares(node.value, loop.target):
                    yield node.lineno, _through(loop.iter)


def _compares(value: ast.expr, target: ast.expr) -> bool:
    """Whether an expression is ``p.requires_grad == False`` of the loop's own variable."""
    if not isinstance(value, ast.Compare) or not isinstance(value.ops[0], ast.Eq):
        return False
    left, right = value.left, value.comparators[0]
    own = {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    return (
        isinstance(left, ast.Attribute)
        and left.attr == "requires_grad"
        and isinstance(left.value, ast.Name)
        and left.value.id in own
        and isinstance(right, ast.Constant)
        and right.value is False
    )


def _through(iterated: ast.expr) -> str:
    """``backbone`` of ``self.backbone.parameters()``; '' where it is something else."""
    if not isinstance(iterated, ast.Call) or not isinstance(iterated.func, ast.Attribute):
        return ""
    owner = iterated.func.value
    if isinstance(owner, ast.Attribute):
        return owner.attr
    return owner.id if isinstance(owner, ast.Name) else ""
