"""Operands: the line that made what an arithmetic operation of the user's was given."""

import ast
from collections.abc import Iterator
from types import CodeType

import msgspec

from steplens.model.graph import GraphReading
from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.settings import lines_of, ran
from steplens.record.source import spans, syntax_tree

KINDS: dict[str, type[ast.operator]] = {
    "mul": ast.Mult,
    "sub": ast.Sub,
    "add": ast.Add,
    "div": ast.Div,
}


def made_at(places: Places, site: Site, kind: str, which: str) -> Site | None:
    """Where the variable was bound last, above the line of an operation of this ``kind``, that is
    its operand on the left (``self``) or on the right (``other``). None where that is no variable
    of the function, or where operations of the line have different ones there."""
    for code in ran(places):
        here = places.file(code.co_filename) == (site.file, site.cell)
        if not here or code.co_qualname != site.function:
            continue
        tree = syntax_tree(code.co_filename)
        names = set(_operands(tree, site.line, KINDS.get(kind), which)) if tree else set()
        if len(names) != 1:
            return None
        above = _above(tree, code, names.pop(), site.line) if tree is not None else []
        return places.line(code, max(above)) if above else None
    return None


def with_operands(places: Places, reading: GraphReading) -> GraphReading:
    """The same reading, with the lines that bound what a prediction was broadcast with."""
    found = [
        msgspec.structs.replace(
            each,
            made=made_at(
                places, site, reading.ops[each.op].name.partition("B")[0].lower(), "other"
            ),
        )
        if (site := reading.ops[each.op].site) is not None
        else each
        for each in reading.broadcasts
    ]
    return msgspec.structs.replace(reading, broadcasts=tuple(found))


def returned_at(places: Places, site: Site) -> Site | None:
    """The one ``return`` of the function of the same file whose value a call on this line is given
    first: ``self.net(standardise(x))``. None where the line has no such call, or more than one."""
    for code in ran(places):
        if places.file(code.co_filename) != (site.file, site.cell):
            continue
        tree = syntax_tree(code.co_filename)
        given = set(_given(tree, site.line)) if tree is not None else set()
        if tree is None or len(given) != 1:
            return None
        name = given.pop()
        defined = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name == name
        ]
        returns = [
            node for each in defined for node in ast.walk(each) if isinstance(node, ast.Return)
        ]
        if len(defined) != 1 or len(returns) != 1:
            return None
        inner = next((c for c in ran(places) if c.co_name == name), code)
        return places.line(inner, returns[0].lineno)
    return None


def _given(tree: ast.Module, line: int) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and spans(node, line):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Call) and isinstance(first.func, ast.Name):
                yield first.func.id


def _operands(
    tree: ast.Module, line: int, kind: type[ast.operator] | None, which: str
) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.BinOp) or kind is None or not isinstance(node.op, kind):
            continue
        if spans(node, line):
            operand = node.left if which == "self" else node.right
            yield operand.id if isinstance(operand, ast.Name) else ""


def _above(tree: ast.Module, code: CodeType, name: str, line: int) -> list[int]:
    """The lines of a function above this one that bind a variable of it."""
    if name not in code.co_varnames:
        return []
    lines = lines_of(code)
    return [each for each in _bound(tree, name) if each in lines and each < line]


def _bound(tree: ast.Module, name: str) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(each, ast.Name) and each.id == name for each in targets):
                yield node.lineno
