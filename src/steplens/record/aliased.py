"""Aliased: the line at which a parameter, or those of a module, were given the memory of
another."""

import ast
import dis
from collections.abc import Iterable, Iterator
from types import CodeType

from torch import nn

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.settings import codes_of, lines_of, ran
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


def tying_line(places: Places, one: str, other: str) -> Site | None:
    """The one line of the user's code that assigns the memory of one of two parameters, called by
    their names within a model, to the ``.data`` of the other.

    Both are read by what holds them (``self.out.weight.data = self.inp.weight.data``), or, where no
    line does so, by their own last names (``a.weight.data = b.weight.data``). None where no line,
    or more than one, does so.
    """
    ends = one.split(".")[-2:], other.split(".")[-2:]
    for depth in (2, 1):
        pair = [end[-depth:] for end in ends]
        if any(len(end) < depth for end in pair):
            continue
        for codes in (ran(places), codes_of(places)):
            lines = {
                (site.file, site.line): site
                for site, target, value in _assignments(places, codes)
                if [_chain(target)[-depth:], _chain(value)[-depth:]] in (pair, pair[::-1])
                and (depth == 2 or len(_chain(target)) == len(_chain(value)) == 2)
            }
            if lines:
                return next(iter(lines.values())) if len(lines) == 1 else None
    return None


def _assignments(
    places: Places, codes: Iterable[CodeType]
) -> Iterator[tuple[Site, ast.expr, ast.expr]]:
    """The lines that assign ``.data``: what it is of, and what is assigned."""
    for code in codes:
        tree = syntax_tree(code.co_filename) if "data" in code.co_names else None
        lines = lines_of(code)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.Assign) and node.lineno in lines and _same(node.value):
                for target in node.targets:
                    if isinstance(target, ast.Attribute) and target.attr == "data":
                        yield places.line(code, node.lineno), target.value, node.value


def _chain(value: ast.expr) -> list[str]:
    """``self``, ``layers``, ``0``, ``weight`` of ``self.layers[0].weight.data.view(3, 4)``."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        return _chain(value.func.value)
    if isinstance(value, ast.Subscript):
        index = value.slice.value if isinstance(value.slice, ast.Constant) else "?"
        return [*_chain(value.value), str(index)]
    if isinstance(value, ast.Attribute):
        own = [] if value.attr == "data" else [value.attr]
        return [*_chain(value.value), *own]
    return [value.id] if isinstance(value, ast.Name) else ["?"]


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
