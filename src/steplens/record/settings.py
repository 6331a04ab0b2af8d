"""Settings: the user's code objects, and the line of a module's class that sets one of its
attributes."""

import ast
import dis
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType

from torch import nn

from steplens.model.site import Site
from steplens.record.places import Places
from steplens.record.source import syntax_tree


def attribute_line(places: Places, module: nn.Module, name: str) -> Site | None:
    """The first line of the user's class, ``__init__`` before other methods, that sets ``name``.

    The code is read, not run: None where the attribute is set from outside of the class, or under
    another name.
    """
    for kind in type(module).__mro__:
        methods = [value for value in vars(kind).values() if isinstance(value, FunctionType)]
        methods.sort(key=lambda method: method.__name__ != "__init__")
        for method in methods:
            if places.owns(method.__code__):
                for code, offset, line in _stores(method.__code__, name):
                    return places.at(code, offset, line)
    return None


def ran(places: Places) -> list[CodeType]:
    """The user's code objects seen so far."""
    return [code for code in list(places.kept) if places.owns(code)]


def lines_of(code: CodeType) -> set[int]:
    """The lines that a code object has instructions of."""
    return {line for _, _, line in code.co_lines() if line}


def code_at(places: Places, site: Site) -> CodeType | None:
    """The function's code that a line of the user's is in."""
    for code in ran(places):
        here = places.file(code.co_filename) == (site.file, site.cell)
        if here and code.co_qualname == site.function and site.line in lines_of(code):
            return code
    return None


def tree_at(places: Places, site: Site) -> ast.Module | None:
    """The syntax of the file that a line of the user's is in; None where it cannot be read."""
    for code in ran(places):
        if places.file(code.co_filename) == (site.file, site.cell):
            return syntax_tree(code.co_filename)
    return None


def only(sites: Iterable[Site]) -> Site | None:
    """The line that all of these are on; None where there are several, or none."""
    found = {(site.file, site.line): site for site in sites}
    return next(iter(found.values())) if len(found) == 1 else None


def codes_of(places: Places) -> Iterator[CodeType]:
    """The user's code objects seen so far, and those inside of them, each once."""
    waiting = ran(places)
    seen: set[int] = set()
    while waiting:
        code = waiting.pop()
        if id(code) not in seen:
            seen.add(id(code))
            waiting += [item for item in code.co_consts if isinstance(item, CodeType)]
            yield code


def _stores(code: CodeType, name: str) -> Iterator[tuple[CodeType, int, int | None]]:
    if name in code.co_names:
        for instruction in dis.get_instructions(code):
            if instruction.opname == "STORE_ATTR" and instruction.argval == name:
                positions = instruction.positions
                yield code, instruction.offset, positions.lineno if positions else None
