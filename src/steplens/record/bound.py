"""Bound: the lines that gave one module the two names under which it is loaded from itself."""

import ast

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.source import spans, syntax_tree

LOAD = "load_state_dict"
MOST = 2  # lines told


def bound(places: Places) -> tuple[Site, ...]:
    """The assignments that make the two sides of the running ``a.load_state_dict(b.state_dict())``
    one: ``a = b``, or both from the same expression, each at one line. None where the call is of
    another form, or no such line is in its file."""
    frame = places.frame(1)
    tree = syntax_tree(frame.f_code.co_filename) if frame is not None else None
    if frame is None or tree is None:
        return ()
    names = {pair for node in ast.walk(tree) if (pair := _sides(node, frame.f_lineno))}
    if len(names) != 1:
        return ()
    one, other = names.pop()
    given: dict[str, list[tuple[int, str]]] = {one: [], other: []}
    for node in ast.walk(tree):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if (name := ast.unparse(target)) in given and isinstance(node, ast.Assign):
                given[name].append((node.lineno, ast.unparse(node.value)))
    lines = [line for line, value in given[one] if value == other]
    lines += [line for line, value in given[other] if value == one]
    if not lines and len(given[one]) == len(given[other]) == 1:
        (first, left), (second, right) = given[one][0], given[other][0]
        lines = [first, second] if left == right else []
    file, cell = places.file(frame.f_code.co_filename)
    return tuple([Site(file, line, 1, 0, 0, "", cell) for line in sorted(lines)[:MOST]])


def _sides(node: ast.AST, line: int) -> tuple[str, str] | None:
    """What a call on this line loads, and what it takes the state of."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
        return None
    inner = node.args[0]
    if node.func.attr != LOAD or not spans(node, line):
        return None
    if not isinstance(inner, ast.Call) or not isinstance(inner.func, ast.Attribute):
        return None
    names = ast.unparse(node.func.value), ast.unparse(inner.func.value)
    return names if inner.func.attr == "state_dict" and names[0] != names[1] else None
