"""Breaks: where, between a forward and its loss, the source takes the values out of the graph."""

import ast
from collections.abc import Sequence
from types import FrameType
from typing import NamedTuple, TypeGuard

from steplens.model.site import Site
from steplens.record.source import scope_of, spans, syntax_tree

METHODS = ("detach", "detach_", "data", "item", "tolist", "numpy", "argmax", "argmin", "argsort")
CASTS = ("long", "int", "short", "byte", "bool")
MAKERS = ("tensor", "Tensor", "FloatTensor", "LongTensor", "as_tensor", "from_numpy", "array")
NUMBERS = ("float", "int", "bool")
DEPTH = 12  # assignments followed


class Break(NamedTuple):
    """The line and the call that ends the graph there."""

    line: int
    column: int  # 1-based
    end_column: int  # 1-based, exclusive
    how: str


def break_line(frame: FrameType, forward: Site) -> Break | None:
    """The break on the way from this forward to what is backwarded on the frame's current line,
    both in one function.

    The source is read: from the names on the backward's line to the assignments that made them, and
    on, until the forward's call is reached. A call that ends a graph counts if what came from the
    forward goes through it. None when no such way, or no such call, is found.
    """
    tree = syntax_tree(frame.f_code.co_filename)
    line = frame.f_lineno or 0
    if tree is None:
        return None
    statements = [node for node in ast.walk(scope_of(tree, line)) if _simple(node)]
    start = next((s for s in statements if spans(s, line)), None)
    return _way(start, statements, forward, DEPTH) if start is not None else None


def _way(
    statement: ast.stmt, statements: Sequence[ast.stmt], forward: Site, left: int
) -> Break | None:
    """The break nearest to this statement on a way back from it to the forward."""
    called = _called(statement, forward)
    if called is not None:
        return _break(statement, [called])
    for name in sorted(_read(statement)) if left else ():
        maker = _maker(name, statement, statements)
        if maker is not None and _reaches(maker, statements, forward):
            uses = [n for n in ast.walk(statement) if isinstance(n, ast.Name) and n.id == name]
            return _break(statement, uses) or _way(maker, statements, forward, left - 1)
    return None


def _reaches(statement: ast.stmt, statements: Sequence[ast.stmt], forward: Site) -> bool:
    """Whether the forward's call made this statement's values."""
    met = [statement]
    for found in met:
        if _called(found, forward) is not None:
            return True
        makers = [_maker(name, found, statements) for name in _read(found)]
        met += [maker for maker in dict.fromkeys(makers) if maker is not None and maker not in met]
    return False


def _maker(name: str, user: ast.stmt, statements: Sequence[ast.stmt]) -> ast.stmt | None:
    """The nearest assignment of this name above its user."""
    found = [s for s in statements if s.lineno < user.lineno and name in _set(s)]
    return max(found, key=lambda s: s.lineno, default=None)


def _break(statement: ast.stmt, uses: Sequence[ast.AST]) -> Break | None:
    """What in this statement ends the graph of one of these parts of it."""
    for node in ast.walk(statement):
        how = _ends(node) if isinstance(node, ast.expr) else ""
        if how and node not in uses and any(part in uses for part in ast.walk(node)):
            assert isinstance(node, ast.expr)
            return Break(node.lineno, node.col_offset + 1, (node.end_col_offset or 0) + 1, how)
    return None


def _ends(node: ast.expr) -> str:
    """How this expression ends a graph, '' if it does not."""
    if isinstance(node, ast.Compare):
        return "a comparison"
    if isinstance(node, ast.Attribute) and node.attr in METHODS + CASTS:
        return ".data" if node.attr == "data" else f".{node.attr}()"
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Name):
            return f"{function.id}(...)" if function.id in NUMBERS + MAKERS else ""
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            known = function.value.id in ("torch", "np", "numpy")
            return f"{function.attr}(...)" if known and function.attr in METHODS + MAKERS else ""
    return ""


def _called(statement: ast.stmt, forward: Site) -> ast.Call | None:
    """The forward's own call, if it is in this statement."""
    if not statement.lineno <= forward.line <= (statement.end_lineno or 0):
        return None
    for node in ast.walk(statement):
        if (
            isinstance(node, ast.Call)
            and node.lineno == forward.line
            and node.col_offset + 1 == forward.column
        ):
            return node
    return None


def _read(statement: ast.stmt) -> frozenset[str]:
    names = {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return frozenset(names) | (_set(statement) if isinstance(statement, ast.AugAssign) else set())


def _set(statement: ast.stmt) -> frozenset[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        targets = [statement.target]
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        called = statement.value.func  # losses.append(...) makes losses
        if isinstance(called, ast.Attribute) and called.attr in ("append", "extend"):
            targets = [called.value]
    return frozenset(n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))


def _simple(node: ast.AST) -> TypeGuard[ast.stmt]:
    return isinstance(node, ast.stmt) and not hasattr(node, "body")
