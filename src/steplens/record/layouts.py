"""Layouts: the whole numbers that a schedule's own function counts by."""

from functools import partial
from types import FunctionType, MethodType
from typing import Any

MOST = 64  # numbers kept of one schedule
DEEP = 3  # functions that call each other, followed


def numbers_of(functions: Any) -> tuple[int, ...]:
    """The ints that these functions are made with: defaults, closures, what a `partial` binds, the
    globals and attributes that their code names. Written into the code itself, a number is mostly a
    round one, and equal to another by chance. None of the program's code runs: an attribute is read
    where the object itself holds it."""
    found: dict[int, None] = {}
    for function in functions:
        _function(function, found, 0)
    return tuple(found)[:MOST]


def _function(function: Any, found: dict[int, None], depth: int) -> None:
    if depth > DEEP:
        return
    if type(function) is partial:
        for value in (*function.args, *function.keywords.values()):
            _value(value, frozenset(), found, depth)
        _function(function.func, found, depth + 1)
    elif type(function) is MethodType:
        _function(function.__func__, found, depth)
        _value(function.__self__, _names(function.__func__), found, depth)
    elif type(function) is FunctionType:
        names = _names(function)
        _values(function, names, found, depth)
    else:
        method = vars(type(function)).get("__call__")
        if type(method) is FunctionType:
            _function(method, found, depth)
            _value(function, _names(method), found, depth)


def _values(
    function: FunctionType, names: frozenset[str], found: dict[int, None], depth: int
) -> None:
    """What one function holds."""
    given = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    for value in given:
        _value(value, names, found, depth)
    for cell in function.__closure__ or ():
        try:
            _value(cell.cell_contents, names, found, depth)
        except ValueError:  # not filled yet
            continue
    own = function.__globals__
    for name in names & own.keys():
        value = own[name]
        if type(value) is not FunctionType or value.__globals__ is own:
            _value(value, names, found, depth)


def _value(value: Any, names: frozenset[str], found: dict[int, None], depth: int) -> None:
    """A number; a function; or the numbers of these names that an object holds."""
    if type(value) is int:
        found[value] = None
    elif type(value) in (partial, MethodType, FunctionType):
        _function(value, found, depth + 1)
    elif not issubclass(type(value), type):
        held = value if type(value) is dict else _attributes(value)
        found.update({held[name]: None for name in names & held.keys() if type(held[name]) is int})


def _attributes(value: Any) -> dict[Any, Any]:
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return held if type(held) is dict else {}


def _names(function: Any) -> frozenset[str]:
    """The names and the keys in a function's code."""
    code = getattr(function, "__code__", None)
    if code is None:
        return frozenset()
    return frozenset((*code.co_names, *[key for key in code.co_consts if type(key) is str]))
