"""Spent: loops over an iterator that the first round of the loop around them uses up."""

import ast
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

from steplens.record.best import TRAINS, Function, bindings
from steplens.record.settings import lines_of
from steplens.record.source import FUNCTIONS, scope_of, syntax_tree

ONCE = frozenset(("iter", "zip", "map", "filter", "enumerate", "reversed"))
AROUND = frozenset(("enumerate", "tqdm", "trange", "zip"))  # what a loop may put around it


class Spent(NamedTuple):
    """A loop that trains over ``name``, which was bound on the line ``made`` to what can be gone
    through once, and the loop around it; ``marks`` are lines of that one, which each of its rounds
    comes by once."""

    line: int
    name: str
    made: int
    marks: frozenset[int]


def spent(code: CodeType) -> Iterator[Spent]:
    """The loops of this code over what the round before has used up."""
    if TRAINS not in code.co_names:
        return
    tree, lines = syntax_tree(code.co_filename), lines_of(code)
    if tree is None:
        return
    for outer in ast.walk(tree):
        if not isinstance(outer, ast.For | ast.While) or outer.lineno not in lines:
            continue
        for inner in outer.body:
            found = _over(tree, outer, inner) if isinstance(inner, ast.For) else None
            if found is not None:
                marks = {line for each in outer.body for line in _plain(each)}
                yield Spent(inner.lineno, *found, frozenset(marks))


def _over(tree: ast.Module, outer: ast.For | ast.While, inner: ast.For) -> tuple[str, int] | None:
    """The name of what the inner loop goes through once for all, and the line that binds it."""
    given = inner.iter
    if isinstance(given, ast.Call) and ast.unparse(given.func).split(".")[-1] in AROUND:
        given = given.args[0] if given.args else given
    if not isinstance(given, ast.Name) or not _trains(inner) or _leaves(inner):
        return None
    scope = scope_of(tree, outer.lineno)
    bound = [
        (node, value)
        for node in ast.walk(scope)
        for target, value in bindings(node)
        if isinstance(target, ast.Name) and target.id == given.id
    ]
    stores = [
        node
        for node in ast.walk(scope)
        if isinstance(node, ast.Name) and node.id == given.id and isinstance(node.ctx, ast.Store)
    ]
    if len(bound) != 1 or len(stores) != 1:
        return None
    node, value = bound[0]
    line = getattr(node, "lineno", 0)
    return (given.id, line) if line < outer.lineno and _once(tree, value) else None


def _trains(loop: ast.For) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr == TRAINS for each in ast.walk(loop))


def _leaves(loop: ast.For) -> bool:
    """Whether the loop may be left before its end."""
    return any(isinstance(each, ast.Break | ast.Return | ast.Raise) for each in ast.walk(loop))


def _once(tree: ast.Module, value: ast.expr) -> bool:
    """Whether this can be gone through once: a generator, or an iterator of Python's own."""
    if isinstance(value, ast.GeneratorExp):
        return True
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
        return False
    defined = [
        node
        for node in ast.walk(tree)
        if isinstance(node, FUNCTIONS) and node.name == value.func.id
    ]
    if not defined:
        return value.func.id in ONCE
    return len(defined) == 1 and _ends(defined[0])


def _ends(function: Function) -> bool:
    """Whether a function is a generator that comes to an end."""
    nodes = list(ast.walk(function))
    yields = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in nodes)
    return (
        yields
        and not function.decorator_list
        and not any(isinstance(each, ast.While) for each in nodes)
    )


def _plain(node: ast.stmt) -> Iterator[int]:
    """The lines of a statement that no loop lies in, as calls are told to be on them."""
    loops = ast.For | ast.While | ast.comprehension | ast.If | ast.Try
    if isinstance(node, ast.With):
        yield node.lineno
        for each in node.body:
            yield from _plain(each)
    elif not any(isinstance(each, loops) for each in ast.walk(node)):
        yield node.lineno
