"""Bypass: statements that may write tensors past torch's write counters, through ``.data`` or
NumPy."""

import ast
from types import CodeType

from steplens.record.source import syntax_tree

PAST = frozenset(("data", "numpy"))
SIMPLE = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)


class Bypasses:
    """Knows such statements of the code it is asked about; each file is gone through once."""

    def __init__(self) -> None:
        self._files: dict[str, frozenset[int]] = {}

    def at(self, code: CodeType, line: int) -> bool:
        """Whether the statement that begins at this line is one."""
        if PAST.isdisjoint(code.co_names):
            return False
        known = self._files.get(code.co_filename)
        if known is None:
            tree = syntax_tree(code.co_filename)
            known = frozenset(() if tree is None else _lines(tree))
            self._files[code.co_filename] = known
        return line in known


def _lines(tree: ast.Module) -> set[int]:
    return {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, SIMPLE)
        and any(isinstance(each, ast.Attribute) and each.attr in PAST for each in ast.walk(node))
    }
