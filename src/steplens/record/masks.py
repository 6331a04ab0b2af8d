"""Masks: the line that made the padding mask which the code hands to an attention."""

import ast
from collections.abc import Iterator
from types import CodeType

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.settings import lines_of, only, ran
from steplens.record.source import syntax_tree

GIVEN = "key_padding_mask"  # how the names of the arguments end
COMPARING = frozenset(("ne", "eq", "lt", "le", "gt", "ge", "not_equal", "bool"))
USES = (ast.BinOp, ast.UnaryOp, ast.Attribute, ast.Subscript, ast.Compare)


def mask_line(places: Places) -> Site | None:
    """The one line that makes a mask of a comparison, under the name by which it is handed to
    attention; None where there are several, or where something else is done with it, too: then it
    may be that which is as it should be."""
    codes = ran(places)
    trees = [tree for file in {code.co_filename for code in codes} if (tree := syntax_tree(file))]
    names = {name for tree in trees for name in _handed(tree)}
    if any(_used(tree, names) for tree in trees):
        return None
    return only(_making(places, codes, names))


def _making(places: Places, codes: list[CodeType], names: set[str]) -> Iterator[Site]:
    for code in codes:
        tree = syntax_tree(code.co_filename)
        lines = lines_of(code)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.Assign) and node.lineno in lines and _makes(node, names):
                yield places.line(code, node.lineno)


def _handed(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.keyword) or not isinstance(node.value, ast.Name):
            continue
        if node.arg is not None and node.arg.endswith(GIVEN):
            yield node.value.id


def _used(tree: ast.Module, names: set[str]) -> bool:
    """Whether anything is done with such a name but to bind it and to hand it on."""
    return any(
        isinstance(child, ast.Name) and child.id in names
        for node in ast.walk(tree)
        if isinstance(node, USES)
        for child in ast.iter_child_nodes(node)
    )


def _makes(node: ast.Assign, names: set[str]) -> bool:
    if not any(isinstance(target, ast.Name) and target.id in names for target in node.targets):
        return False
    return any(
        isinstance(part, ast.Compare)
        or (isinstance(part, ast.Attribute) and part.attr in COMPARING)
        for part in ast.walk(node.value)
    )
