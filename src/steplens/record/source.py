"""The user's source as a syntax tree."""

import ast
import linecache
from functools import lru_cache
from threading import Lock

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
_parsing = Lock()


def syntax_tree(filename: str) -> ast.Module | None:
    """The parsed source of a file or notebook cell, to be read only; None when there is none.

    One at a time: two threads that parse at once leave Python before 3.11.8 and 3.12.2 unable to
    parse anything again (https://github.com/python/cpython/issues/106905).
    """
    text = "".join(linecache.getlines(filename))
    try:
        with _parsing:
            return _parsed(text)
    except (SyntaxError, ValueError, RecursionError, SystemError):
        return None


def spans(node: ast.stmt | ast.expr, line: int) -> bool:
    """Whether a line is one of those that a statement or expression stands on."""
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def scope_of(tree: ast.Module, line: int) -> Scope:
    """The innermost function around a line, or the file."""
    around = [n for n in ast.walk(tree) if isinstance(n, FUNCTIONS) and spans(n, line)]
    return max(around, key=lambda node: node.lineno, default=tree)


@lru_cache(maxsize=8)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)
