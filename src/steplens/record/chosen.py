"""Chosen: whether a line runs only when a number is smaller or larger than another, as one does
that keeps the best of something."""

import ast

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.settings import tree_at

ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def chosen(places: Places, site: Site | None) -> bool:
    """Whether the line stands under an ``if`` that compares by size, and that sets what it
    compares: ``if loss < best: best = loss``."""
    if site is None:
        return False
    tree = tree_at(places, site)
    return tree is not None and any(
        _keeps(node, site.line) for node in ast.walk(tree) if isinstance(node, ast.If)
    )


def _keeps(node: ast.If, line: int) -> bool:
    first, last = node.body[0].lineno, node.body[-1].end_lineno or 0
    if not first <= line <= last:
        return False
    return bool(compared(node))


def compared(node: ast.If) -> set[str]:
    """What an ``if`` compares by size and sets, the sides of its comparisons as they are written;
    empty where it sets none of them."""
    sides = {
        ast.unparse(side)
        for each in ast.walk(node.test)
        if isinstance(each, ast.Compare) and isinstance(each.ops[0], ORDER)
        for side in (each.left, *each.comparators)
    }
    kept = any(
        ast.unparse(target) in sides
        for part in node.body
        for each in ast.walk(part)
        if isinstance(each, ast.Assign)
        for whole in each.targets
        for target in (whole.elts if isinstance(whole, ast.Tuple) else (whole,))
    )
    return sides if kept else set()
