"""What the source of a call says of its arguments: drawn at random; true where the author minds
the mode of the module."""

import ast
from collections.abc import Callable, Iterator
from types import CodeType

from steplens.record.source import FUNCTIONS, Scope, scope_of, spans, syntax_tree

DRAWS = frozenset(  # torch's, its distributions' and numpy's
    (
        *("randn", "rand", "randn_like", "rand_like", "normal", "normal_", "uniform", "uniform_"),
        *("standard_normal", "random_sample", "trunc_normal_", "sample", "rsample", "sample_n"),
    )
)
DEPTH = 4  # names followed from one to the next
Told = Callable[[ast.AST], bool]


def drawn(code: CodeType, line: int) -> bool:
    """Whether a call on this line is given noise: one of its arguments is drawn there, or is a
    name that is bound to nothing else, in this function or in the file."""
    return any(
        told(arg)
        for call, told in _calls(code, line, _draw)
        if not _draw(call)
        for arg in (*call.args, *(each.value for each in call.keywords))
    )


def minds_mode(code: CodeType, line: int) -> bool:
    """Whether the training argument of a call on this line, a dropout's third, is made of some
    module's `training`: ``self.training or sample``."""
    return any(
        told(arg)
        for call, told in _calls(code, line, _mode)
        for arg in (
            *call.args[2:3],
            *(each.value for each in call.keywords if each.arg in ("training", "train")),
        )
    )


def _calls(
    code: CodeType, line: int, source: Told
) -> Iterator[tuple[ast.Call, Callable[[ast.expr], bool]]]:
    tree = syntax_tree(code.co_filename)
    if tree is None:
        return
    scope = scope_of(tree, line)
    for node in ast.walk(scope):
        if isinstance(node, ast.Call) and spans(node, line):
            yield node, lambda value: _made_of(value, source, tree, scope, DEPTH)


def _draw(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    named = node.func
    name = named.attr if isinstance(named, ast.Attribute) else getattr(named, "id", "")
    return name in DRAWS


def _mode(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "training"


def _made_of(value: ast.expr, source: Told, tree: ast.Module, scope: Scope, depth: int) -> bool:
    """Whether this comes from such a source, by its expression or by all that its name is bound
    to."""
    if any(map(source, ast.walk(value))):
        return True
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value  # `noise.to(device)`
    if not depth or not isinstance(value, (ast.Name, ast.Attribute)):
        return False
    name = value.id if isinstance(value, ast.Name) else value.attr
    if isinstance(value, ast.Name) and name in _parameters(scope):
        return False
    bound = list(_bound(scope, type(value), name)) or list(_bound(tree, type(value), name))
    return bool(bound) and all(
        each is not None and _made_of(each, source, tree, scope, depth - 1) for each in bound
    )


def _parameters(scope: Scope) -> set[str]:
    if not isinstance(scope, FUNCTIONS):
        return set()
    given = scope.args
    return {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


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
