"""Aliased: the line at which a module's parameters were given the memory of another's."""

import ast
import dis
from collections.abc import Iterable, Iterator
from types import CodeType

from torch import nn

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.settings import codes_of, ran
from steplens.record.source import spans, syntax_tree

SAME = frozenset(("detach", "to", "view", "view_as", "reshape", "contiguous", "float", "cpu"))


def assigned(args: tuple[object, ...], kwargs: dict[str, object]) -> bool:
    """Whether a ``load_state_dict``, called with these after the state, assigns its tensors."""
    return bool(kwargs.get("assign", args[1] if len(args) > 1 else False))


def aliasing_line(places: Places, module: nn.Module, model: nn.Module) -> Site | None:
    """The one line of the user's code that assigns ``p.data`` the memory of something else, where
    parameters of two modules are different tensors in the same memory.

    ``p.data = q.data`` is heard by nothing: the code is read. None where no line, or more than one
    of those that ran, does so.
    """
    theirs = {id(parameter) for parameter in model.parameters()}
    if any(id(parameter) in theirs for parameter in module.parameters()):
        return None
    for codes in (ran(places), codes_of(places)):
        found = set(_aliasing(places, codes))
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _aliasing(places: Places, codes: Iterable[CodeType]) -> Iterator[Site]:
    for code in codes:
        if "data" not in code.co_names:
            continue
        tree = syntax_tree(code.co_filename)
        for instruction in dis.get_instructions(code) if tree is not None else ():
            if instruction.opname == "STORE_ATTR" and instruction.argval == "data":
                line = instruction.positions.lineno if instruction.positions else None
                if tree is not None and line is not None and _keeps_memory(tree, line):
                    yield places.at(code, instruction.offset, line)


def _keeps_memory(tree: ast.Module, line: int) -> bool:
    """Whether an assignment to ``.data`` on this line takes the memory of what it is given."""
    return any(
        isinstance(node, ast.Assign)
        and spans(node, line)
        and any(isinstance(each, ast.Attribute) and each.attr == "data" for each in node.targets)
        and _same(node.value)
        for node in ast.walk(tree)
    )


def _same(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        called = value.func
        return isinstance(called, ast.Attribute) and called.attr in SAME and _same(called.value)
    return isinstance(value, (ast.Name, ast.Attribute, ast.Subscript))
