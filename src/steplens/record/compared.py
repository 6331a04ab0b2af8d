"""Compared: lines of the user's code that look as if they froze parameters, and do nothing: loops
that compare ``requires_grad`` where they were to set it, or set it on what ``state_dict()`` made,
and a ``map`` that nobody goes through."""

import ast
from collections.abc import Callable, Iterator
from types import CodeType

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.settings import lines_of, ran
from steplens.record.source import syntax_tree

COMPARED = "requires_grad == False"
LAZY = "map(... requires_grad_(False) ...)"
MADE = "state_dict() ... requires_grad = False"
FLAGS = ("requires_grad", "requires_grad_")
WALKS = ("items", "values")


def comparisons(places: Places) -> list[tuple[Site, str, str]]:
    """The lines of code that ran in which ``for p in x.parameters(): p.requires_grad == False``,
    ``map(lambda p: p.requires_grad_(False), x.parameters())`` or ``for k, v in
    x.state_dict().items(): v.requires_grad = False`` stands as a statement, the last name of what
    it goes through (``x``), and which of them it is.

    Such a statement goes nowhere: a comparison can only have been meant as ``=``, a ``map`` calls
    its function when somebody goes through it, and ``state_dict()`` makes a new tensor of each
    parameter, which is dropped with its flag.
    """
    found: list[tuple[Site, str, str]] = []
    for code in ran(places):
        lines = lines_of(code)
        if "requires_grad" in code.co_names:
            for line, name in _loops(code, _compares):
                if line in lines:
                    found.append((places.line(code, line), name, COMPARED))
        if "state_dict" in code.co_names:
            for line, name in _loops(code, _sets):
                if line in lines:
                    found.append((places.line(code, line), name, MADE))
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


def _loops(code: CodeType, idle: Callable[[ast.stmt, ast.For], bool]) -> Iterator[tuple[int, str]]:
    tree = syntax_tree(code.co_filename)
    for loop in ast.walk(tree) if tree is not None else ():
        if isinstance(loop, ast.For):
            for node in (each for part in loop.body for each in ast.walk(part)):
                if isinstance(node, ast.stmt) and idle(node, loop):
                    yield node.lineno, _through(loop.iter)


def _sets(node: ast.stmt, loop: ast.For) -> bool:
    """Whether a statement in a loop through ``x.state_dict()`` sets the flag of its variable, which
    the loop uses for nothing else."""
    if not _of_state(loop.iter):
        return False
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
        target, value = node.targets[0], node.value
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node.value.args:
        target, value = node.value.func, node.value.args[0]
    else:
        return False
    if not isinstance(target, ast.Attribute) or target.attr not in FLAGS:
        return False
    if not isinstance(value, ast.Constant) or value.value is not False:
        return False
    held = target.value
    uses = [
        each
        for part in loop.body
        for each in ast.walk(part)
        if isinstance(each, ast.Name) and isinstance(held, ast.Name) and each.id == held.id
    ]
    own = {each.id for each in ast.walk(loop.target) if isinstance(each, ast.Name)}
    return isinstance(held, ast.Name) and held.id in own and uses == [held]


def _of_state(iterated: ast.expr) -> bool:
    """Whether it is ``x.state_dict().items()``, or ``.values()``, of tensors made anew."""
    if not isinstance(iterated, ast.Call) or not isinstance(iterated.func, ast.Attribute):
        return False
    state = iterated.func.value
    return (
        iterated.func.attr in WALKS
        and isinstance(state, ast.Call)
        and isinstance(state.func, ast.Attribute)
        and state.func.attr == "state_dict"
        and not (state.args or state.keywords)
    )


def _compares(node: ast.stmt, loop: ast.For) -> bool:
    """Whether a statement is ``p.requires_grad == False`` of the loop's own variable."""
    value, target = node.value if isinstance(node, ast.Expr) else None, loop.target
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
    if _of_state(iterated) and isinstance(owner, ast.Call):
        return _through(owner)
    if isinstance(owner, ast.Attribute):
        return owner.attr
    return owner.id if isinstance(owner, ast.Name) else ""
