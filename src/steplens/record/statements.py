"""Statements: the first line of each statement that spreads over several lines."""

import ast
from collections.abc import Iterator
from types import CodeType

from steplens.record.source import syntax_tree

BLOCKS = ("body", "cases", "handlers", "orelse", "finalbody")


class Statements:
    """Knows the statements of the code it is asked about; each file is parsed once."""

    def __init__(self) -> None:
        self._files: dict[str, dict[int, int]] = {}

    def first(self, code: CodeType, line: int) -> int:
        """The line at which the statement around ``line`` begins, of its part in ``code`` (a lambda
        or comprehension within it begins later); ``line`` itself where the source is not known."""
        known = self._files.get(code.co_filename)
        if known is None:
            tree = syntax_tree(code.co_filename)
            known = dict(_lines(tree)) if tree is not None else {}
            self._files[code.co_filename] = known
        found = known.get(line)
        return line if found is None else max(found, code.co_firstlineno)


def _lines(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Each further line of a simple statement, of the head of a compound one or of a decorator,
    with the first."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        inner: list[ast.AST] = [part for name in BLOCKS for part in getattr(node, name, ())]
        waiting += inner
        for marked in getattr(node, "decorator_list", ()):
            yield from _further(marked.lineno, marked.end_lineno)
        if inner:
            yield from _further(_line(node), _begin(inner[0]) - 1)
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            yield from _further(_line(node), getattr(node, "end_lineno", None))


def _further(first: int, last: int | None) -> Iterator[tuple[int, int]]:
    return ((line, first) for line in range(first + 1, (last or first) + 1))


def _line(node: ast.AST) -> int:
    """The line of a statement; a case of a match is known by its pattern alone."""
    return node.pattern.lineno if isinstance(node, ast.match_case) else getattr(node, "lineno", 0)


def _begin(node: ast.AST) -> int:
    """The line of a statement or of its first decorator."""
    return min([_line(node), *(each.lineno for each in getattr(node, "decorator_list", ()))])
