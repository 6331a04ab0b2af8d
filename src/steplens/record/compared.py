"""Compared: lines of the user's code that look as if they froze parameters, and do nothing: loops
that compare ``requires_grad`` where they were to set it, and a ``map`` that nobody goes through."""

import ast
from collections.abc import Iterator
from types import CodeType

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.settings import lines_of, ran
from steplens.record.source import syntax_tree

COMPARED = "requires_grad == False"
LAZY = "map(... requires_grad_(False) ...)"


def comparisons(places: Places) -> list[tuple[Site, str, str]]:
    """The lines of code that ran in which ``for p in x.parameters(): p.requires_grad == False`` or
    ``map(lambda p: p.requires_grad_(False), x.parameters())`` stands as a statement, the last name
    of what it goes through (``x``), and which of both it is.

    The value of such a statement goes nowhere: a comparison can only have been meant as ``=``, and
    a ``map`` calls its function when somebody goes through it.
    """
    found: list[tuple[Site, str, str]] = []
    for code in ran(places):
        lines = lines_of(code)
        if "requires_grad" in code.co_names:
            for line, name in _loops(code):
                if line in lines:
                    found.append((places.line(code, line), name, COMPARED))
        if "map" in code.co_names:
            for line, name in _lazy(code):
                if line in lines:
                    found.append((places.line(code, line), name, LAZY))
    return found


def _lazy(code: CodeType) -> Iterator[tuple[int, str]]:
    tree = syntax_tree(code.co_filename)
    for node in ast.walk(tree) if tree is not None else ():
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
            continue
        call = node.value
        if isinstance(call.func, ast.Name) and len(call.args) == 2:
            function, iterated = call.args
            if call.func.id == "map" and isinstance(function, ast.Lambda) and _freezes(function):
                yield node.lineno, _through(iterated)


def _freezes(function: ast.Lambda) -> bool:
    """Whether it is ``lambda p: p.requires_grad_(False)``."""
    call = function.body
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr == "requires_grad_"
        and [arg.value for arg in call.args if isinstance(arg, ast.Constant)] == [False]
    )


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
