"""Keepers: objects that are to keep the best model of a loop that hands it to them, and keep the
model itself."""

import ast
from collections.abc import Iterator
from types import CodeType

from steplens.record.best import (
    JUMPS,
    LEAVES,
    LOAD,
    Function,
    bound_anew,
    is_model,
    pairs,
    training,
    trains,
)
from steplens.record.chosen import compared

CALL = "__call__"


def loops(code: CodeType) -> bool:
    """Whether code goes round: a file of none is not parsed for one that trains."""
    return any(jump in code.co_code[::2] for jump in JUMPS)


def keepers(tree: ast.Module) -> Iterator[tuple[ast.Assign, int]]:
    """``self.best = model`` in a method, of its parameter, under an ``if`` that keeps the best of
    something, each with the first line of a loop that trains, hands its model to the method and
    never binds that anew, where the attribute is read elsewhere. Not where anything else is done
    with the model there."""
    kept = [
        (kind, method, node, place)
        for kind in ast.walk(tree)
        if isinstance(kind, ast.ClassDef)
        for method in kind.body
        if isinstance(method, Function)
        for node, place in _kept(method)
        if _read(tree, method, node)
    ]
    if not kept:  # as in most files, which need not be gone through for their loops
        return
    names = training([node for node in ast.walk(tree) if isinstance(node, Function)])
    rounds = [n for n in ast.walk(tree) if isinstance(n, ast.For | ast.While) and trains(n, names)]
    for kind, method, node, place in kept:
        for loop in _given(tree, rounds, kind, method, place):
            yield node, loop.lineno


def _kept(method: Function) -> Iterator[tuple[ast.Assign, int]]:
    """Such statements, and the place of the parameter among those after ``self``."""
    parameters = [each.arg for each in method.args.args][1:]
    for test in ast.walk(method):
        held = list(_held(test, parameters)) if isinstance(test, ast.If) else []
        if not held or not isinstance(test, ast.If) or not (sides := compared(test)):
            continue
        body = [each for part in test.body for each in ast.walk(part)]
        if any(isinstance(each, LEAVES) for each in body):
            continue
        for node, name in held:
            uses = [each for each in body if isinstance(each, ast.Name) and each.id == name]
            if len(uses) == 1 and name not in sides:
                yield node, parameters.index(name)


def _held(test: ast.If, parameters: list[str]) -> Iterator[tuple[ast.Assign, str]]:
    """The statements right under an ``if`` that set an attribute of ``self`` to a parameter."""
    for node in test.body:
        for target, value in pairs(node):
            given = isinstance(value, ast.Name) and value.id in parameters
            if not (isinstance(node, ast.Assign) and isinstance(value, ast.Name) and given):
                continue
            if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self":
                yield node, value.id


def _read(tree: ast.Module, method: Function, node: ast.Assign) -> bool:
    """Whether what is kept is read somewhere else, and loads nothing there."""
    names = {target.attr for target, _ in pairs(node) if isinstance(target, ast.Attribute)}
    inside = {*ast.walk(method)}
    reads = [
        each
        for each in ast.walk(tree)
        if isinstance(each, ast.Attribute)
        and each.attr in names
        and isinstance(each.ctx, ast.Load)
        and each not in inside
    ]
    loads = (
        isinstance(each, ast.Attribute) and each.attr == LOAD and each.value in reads
        for each in ast.walk(tree)
    )
    return bool(reads) and not any(loads)


def _given(
    tree: ast.Module,
    rounds: list[ast.For | ast.While],
    kind: ast.ClassDef,
    method: Function,
    place: int,
) -> Iterator[ast.For | ast.While]:
    """The loops that train and hand a model over at this place."""
    made = {
        ast.unparse(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if ast.unparse(node.value.func) == kind.name
        for target in node.targets
    }
    for loop in rounds:
        for node in ast.walk(loop):
            if not isinstance(node, ast.Call) or len(node.args) <= place:
                continue
            name, given = ast.unparse(node.func), node.args[place]
            called = f"{name}.{CALL}" if name in made else name
            owner, _, last = called.rpartition(".")
            plain = isinstance(given, ast.Name | ast.Attribute)
            if not (owner in made and last == method.name and plain):
                continue
            if is_model(tree, ast.unparse(given)) and not bound_anew(tree, loop, given):
                yield loop
                break
