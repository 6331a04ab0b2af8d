"""Breaking: makes one function of steplens raise, whoever calls it and through whatever name."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import steplens

HOME = str(Path(steplens.__file__).parent)
raising: str = ""


class Unspeakable(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


ERRORS = {
    "key": lambda: KeyError("injected"),
    "recursion": lambda: RecursionError("injected"),
    "memory": MemoryError,
    "unspeakable": Unspeakable,
    "os": lambda: OSError(28, "injected: no space left on device"),
    "unicode": lambda: UnicodeEncodeError("utf-8", "\ud800", 0, 1, "injected"),
}


def error() -> BaseException:
    """The exception to be raised now."""
    return ERRORS[raising]()


def functions() -> Iterator[FunctionType]:
    """Every function and method of steplens, found by looking."""
    seen: set[int] = set()
    for info in pkgutil.walk_packages(steplens.__path__, "steplens."):
        if info.name.endswith("__main__"):
            continue
        try:
            module = importlib.import_module(info.name)
        except ModuleNotFoundError:  # an adapter whose host is not installed
            continue
        for value in list(vars(module).values()):
            members = list(vars(value).values()) if inspect.isclass(value) else [value]
            for member in members:
                member = member.fget if isinstance(member, property) else member
                member = getattr(member, "__func__", member)
                member = inspect.unwrap(member) if callable(member) else member
                known = isinstance(member, FunctionType) and id(member) not in seen
                if known and member.__code__.co_filename.startswith(HOME):
                    seen.add(id(member))
                    yield member


def inside(code: CodeType) -> Iterator[CodeType]:
    """A function's code, and that of the functions made in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from inside(constant)


def breakable(code: CodeType) -> bool:
    """Whether the code is a function's: comprehensions are parts of one."""
    return not code.co_name.startswith("<") or code.co_name == "<lambda>"


def name_of(code: CodeType) -> str:
    """``record/ledger.py:Ledger.look``."""
    return f"{code.co_filename[len(HOME) + 1 :]}:{code.co_qualname}:{code.co_firstlineno}"


def _raiser(like: CodeType) -> CodeType:
    """Code that raises, in the place of other code: it closes over the same names."""
    free = like.co_freevars
    text = "def make():\n"
    text += "".join(f"  {name} = None\n" for name in free)
    text += "  def raiser(*args, **kwargs):\n"
    text += "".join(f"    {name}\n" for name in free)
    text += "    raise __import__('breaking').error()\n"
    text += "  return raiser\n"
    space: dict[str, Any] = {}
    exec(text, space)
    found: CodeType = space["make"]().__code__
    assert found.co_freevars == free
    return found.replace(co_name=like.co_name, co_qualname=like.co_qualname)


def _with(code: CodeType, target: CodeType) -> CodeType:
    if code is target:
        return _raiser(code)
    constants = tuple(_with(c, target) if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_consts=constants)


@contextmanager
def broken(function: FunctionType, target: CodeType, how: str) -> Generator[None]:
    """For the time of the block, ``target`` (the code of ``function`` or of one made in it)
    raises."""
    global raising
    whole, raising = function.__code__, how
    function.__code__ = _with(whole, target)
    try:
        yield
    finally:
        function.__code__ = whole


def reached(run: Callable[[], object]) -> set[CodeType]:
    """The code of steplens that a run goes through."""
    found: set[CodeType] = set()

    def called(frame: Any, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(HOME):
            found.add(frame.f_code)

    sys.setprofile(called)
    try:
        run()
    finally:
        sys.setprofile(None)
    return found


def places(run: Callable[[], object]) -> list[tuple[FunctionType, CodeType]]:
    """What can be broken of what a run goes through, in a fixed order."""
    codes = {(code.co_filename, code.co_qualname, code.co_firstlineno) for code in reached(run)}
    found = [
        (function, code)
        for function in functions()
        for code in inside(function.__code__)
        if breakable(code) and (code.co_filename, code.co_qualname, code.co_firstlineno) in codes
    ]
    return [pair for _, pair in sorted({name_of(c): (f, c) for f, c in found}.items())]
