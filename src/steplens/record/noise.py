"""Noise: calls whose source says that what they give a model was drawn at random."""

import ast
from collections.abc import Iterator
from types import CodeType

from steplens.record.source import FUNCTIONS, Scope, scope_of, spans, syntax_tree

DRAWS = frozenset(  # torch's, its distributions' and numpy's
    (
        *("randn", "rand", "randn_like", "rand_like", "normal", "normal_", "uniform", "uniform_"),
        *("standard_normal", "random_sample", "trunc_normal_", "sample", "rsample", "sample_n"),
    )
)
DEPTH = 4  # names followed from one to the next


def draws(code: CodeType, line: int) -> bool:
    """Whether a call on this line is given noise: one of its arguments is drawn there, or is a
    name that is bound to nothing else, in this function or in the file."""
    tree = syntax_tree(code.co_filename)
    if tree is None:
        return False
    scope = scope_of(tree, line)
    return any(
        _noise(arg, tree, scope, DEPTH)
        for node in ast.walk(scope)
        if isinstance(node, ast.Call) and spans(node, line) and not _draw(node)
        for arg in node.args
    )


def _draw(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    named = node.func
    name = named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")
    return name in DRAWS


def _noise(value: ast.expr, tree: ast.Module, scope: Scope, depth: int) -> bool:
    """Whether this was drawn, by its expression or by all that its name is bound to."""
    if any(map(_draw, ast.walk(value))):
        return True
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value  # `noise.to(device)`
    if not depth or not isinstance(value, (ast.Name, ast.Attribute)):
        return False
    name = value.id if isinstance(value, ast.Name) else value.attr
    bound = list(_bound(scope, type(value), name))
    if isinstance(value, ast.Name) and name in _parameters(scope):
        return False
    bound = bound or list(_bound(tree, type(value), name))
    return bool(bound) and all(
        each is not None and _noise(each, tree, scope, depth - 1) for each in bound
    )


def _parameters(scope: Scope) -> set[str]:
    if not isinstance(scope, FUNCTIONS):
        return set()
    return {
        each.arg for each in (*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs)
    }


def _bound(scope: ast.AST, kind: type[ast.expr], name: str) -> Iterator[ast.expr | None]:
    """What a name is bound to, at each place; None where that is not an assignment of its own."""
    simple: dict[int, ast.expr] = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign):
            simple.update((id(target), node.value) for target in node.targets)
        named = getattr(node, "attr" if kind is ast.Attribute else "id", "")
        if isinstance(node, kind) and named == name and _stored(node):
            yield simple.get(id(node))


def _stored(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Store)
