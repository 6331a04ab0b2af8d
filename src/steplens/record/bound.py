"""Bound: the lines that gave one module the two names under which it is loaded from itself, or
averaged with itself."""

import ast

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.source import spans, syntax_tree

LOAD = "load_state_dict"
AVERAGES = ("add_", "lerp_")
WALKS = ("parameters", "named_parameters", "buffers")
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
    return _lines(places, frame.f_code.co_filename, tree, *names.pop())


def two_names(places: Places) -> bool:
    """Whether the running line averages what has two names there: `t.mul_(d).add_(s)`."""
    return bool(_averaged(places))


def averaged_from(places: Places) -> tuple[Site, ...]:
    """The assignments that make the two modules one through whose parameters the loop around the
    running line goes (`zip(a.parameters(), b.parameters())`); none where there is no such loop."""
    names, frame = _averaged(places), places.frame(1)
    tree = syntax_tree(frame.f_code.co_filename) if frame is not None else None
    if frame is None or tree is None or not names:
        return ()
    for node in ast.walk(tree):
        if not isinstance(node, ast.For) or not spans(node, frame.f_lineno):
            continue
        if not isinstance(node.iter, ast.Call) or not isinstance(node.target, ast.Tuple):
            continue
        parts = dict(zip(map(ast.unparse, node.target.elts), node.iter.args, strict=False))
        if names[0] in parts and names[1] in parts:
            one, other = (walked(parts[name]) for name in names)
            if one and other and one != other:
                return _lines(places, frame.f_code.co_filename, tree, one, other)
    return ()


def walked(value: ast.expr) -> str:
    """The module whose parameters an expression goes through, '' if it is another one."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return ""
    return ast.unparse(value.func.value) if value.func.attr in WALKS else ""


def _averaged(places: Places) -> tuple[str, str] | None:
    """The two names of the one average on the running line."""
    frame = places.frame(1)
    tree = syntax_tree(frame.f_code.co_filename) if frame is not None else None
    if frame is None or tree is None:
        return None
    found = {
        (_root(node.func.value), _root(node.args[0]))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in AVERAGES
        and node.args
        and spans(node, frame.f_lineno)
    }
    one, other = found.pop() if len(found) == 1 else ("", "")
    return (one, other) if one and other and one != other else None


def _root(value: ast.expr) -> str:
    """The name that a chain of attributes and methods begins with, '' where it begins otherwise."""
    while isinstance(value, ast.Attribute | ast.Call):
        value = value.value if isinstance(value, ast.Attribute) else value.func
    return value.id if isinstance(value, ast.Name) else ""


def _lines(
    places: Places, filename: str, tree: ast.Module, one: str, other: str
) -> tuple[Site, ...]:
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
    file, cell = places.file(filename)
    return tuple([Site(file, line, 1, 0, 0, "", cell) for line in sorted(lines)[:MOST]])


def lines_between(places: Places, filename: str, one: str, other: str) -> tuple[Site, ...]:
    """The assignments of a file that make what has these two names in it one."""
    tree = syntax_tree(filename)
    return _lines(places, filename, tree, one, other) if tree is not None else ()


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
