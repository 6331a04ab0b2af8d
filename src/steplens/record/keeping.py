"""Keeping: the statement that keeps tensors with their graphs, read in the source."""

import ast
from collections.abc import Iterator
from types import CodeType
from typing import TYPE_CHECKING

from steplens.model.site import Site
from steplens.record.settings import codes_of, lines_of
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOOPS = (ast.For, ast.While, ast.AsyncFor)


def kept_at(recorder: "Recorder", form: str, name: str, made: Site | None) -> Site | None:
    """The one statement of the running functions that keeps something, by its form; of several, the
    one that keeps a variable to which the line ``made`` assigns, the first of those that add to a
    container which outlives the iterations. Where none of them does, the one statement of all the
    user's functions."""
    frame = recorder.places.frame(1)
    none = True
    while frame is not None:
        code = frame.f_code
        if recorder.places.owns(code):
            statements = list(_statements(code))
            found = [node for node in statements if _keeps(node, form, name)]
            none = none and not found
            if len(found) > 1 and made is not None:
                names = _assigned(statements, made.line)
                found = [node for node in found if names.intersection(_read(node))]
            if len(found) > 1 and not name and form != "sum":
                found = _lasting(found, statements)[:1]
            if len(found) == 1:
                return recorder.places.line(code, found[0].lineno)
        frame = frame.f_back
    if not none or form not in ("list", "dict"):
        return None
    sites = {
        recorder.places.line(code, node.lineno)
        for code in codes_of(recorder.places)
        if code.co_name != "<module>"
        for node in _statements(code)
        if node.lineno in lines_of(code) and _keeps(node, form, "")
    }
    return sites.pop() if len(sites) == 1 else None


def given_at(recorder: "Recorder", kept: Site) -> Site | None:
    """The one call of the running functions that gives the function which keeps something, such as
    a meter's ``update``, what is no plain number."""
    name = kept.function.rpartition(".")[2]
    frame = recorder.places.frame(1)
    while frame is not None:
        code = frame.f_code
        if recorder.places.owns(code):
            if code.co_qualname == kept.function:
                return None
            lines = {
                node.lineno
                for each in _statements(code)
                for node in ast.walk(each)
                if isinstance(node, ast.Call)
                and ast.unparse(node.func).rpartition(".")[2] == name
                and node.args
                and not all(map(_plain, node.args))
            }
            if lines:
                return recorder.places.line(code, lines.pop()) if len(lines) == 1 else None
        frame = frame.f_back
    return None


def _statements(code: CodeType) -> Iterator[ast.stmt]:
    lines = lines_of(code)
    tree = syntax_tree(code.co_filename)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.stmt) and min(lines) <= node.lineno <= max(lines):
            yield node


def _lasting(found: list[ast.stmt], statements: list[ast.stmt]) -> list[ast.stmt]:
    """Those that add to a local variable which no loop makes anew and nothing empties. What an
    object holds has a name, by which it would have been found."""
    inside = {id(node) for each in statements if isinstance(each, LOOPS) for node in ast.walk(each)}
    anew = {
        part.id
        for node in statements
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Delete)) and id(node) in inside
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, (ast.Store, ast.Del))
    }
    anew |= {
        node.func.value.id
        for each in statements
        for node in ast.walk(each)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("clear", "pop", "popleft")
        and isinstance(node.func.value, ast.Name)
    }
    return [node for node in found if (local := _local(node)) and local not in anew]


def _local(node: ast.stmt) -> str:
    """The variable that a statement adds to, '' if it adds to something else."""
    target: ast.expr | None = None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        target = called.value if isinstance(called, ast.Attribute) else None
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        target = node.targets[0].value
    return target.id if isinstance(target, ast.Name) else ""


def _assigned(statements: list[ast.stmt], line: int) -> set[str]:
    """The variables to which the statement that begins at a line assigns."""
    return {
        part.id
        for node in statements
        if node.lineno == line and isinstance(node, (ast.Assign, ast.AnnAssign))
        for part in ast.walk(node)
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
    }


def _read(node: ast.stmt) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _keeps(node: ast.stmt, form: str, name: str) -> bool:
    if form == "sum":
        return _adds_up(node, name)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("append", "extend", "add"):
            target = ast.unparse(call.func.value)
            return (not name or name in target) and not all(map(_plain, call.args))
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
        target = ast.unparse(node.targets[0].value)
        return (not name or name in target) and not _plain(node.value)
    return False


def _adds_up(node: ast.stmt, name: str) -> bool:
    """Whether a statement makes a variable, or an attribute of this name, more of what it was:
    ``total += loss``, ``mean = loss if mean is None else 0.9 * mean + 0.1 * loss``."""
    if not isinstance(node, (ast.Assign, ast.AugAssign)):
        return False
    target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]
    if name and ast.unparse(target).rpartition(".")[2] != name:
        return False
    given = node.value
    values = (given.body, given.orelse) if isinstance(given, ast.IfExp) else (given,)
    old = ast.dump(target, False).replace("Store", "Load")
    grows = isinstance(node, ast.AugAssign) or any(
        isinstance(value, ast.BinOp) and old in ast.dump(value, False) for value in values
    )
    return grows and not _plain(node.value)


def _plain(value: ast.expr) -> bool:
    """Whether an expression gives a number, or a tensor without a graph."""
    if isinstance(value, ast.Constant):
        return True
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id in ("float", "int", "len", "str", "round")
    cut = ("item", "detach", "tolist", "numpy", "data")
    return any(isinstance(part, ast.Attribute) and part.attr in cut for part in ast.walk(value))
