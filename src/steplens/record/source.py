"""The user's source as a syntax tree."""

import ast
import linecache


def syntax_tree(filename: str) -> ast.Module | None:
    """The parsed source of a file or notebook cell; None when there is none."""
    try:
        return ast.parse("".join(linecache.getlines(filename)))
    except (SyntaxError, ValueError, RecursionError):
        return None
