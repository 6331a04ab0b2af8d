"""Naming: what the user's own source calls an object, read from the line that made or called it.

The variables of a running function are never looked at: reading ``f_locals`` leaves a dictionary
on the frame (Python 3.12 and older) that keeps the user's objects alive.
"""

import ast
import weakref
from types import CodeType, FrameType, FunctionType

from steplens.record.places import Places
from steplens.record.source import syntax_tree

Spot = tuple[CodeType, int, int]  # code, f_lasti, line
DEPTH = 4  # user frames remembered for one birth


def spots(places: Places, constructors: frozenset[CodeType] = frozenset()) -> tuple[Spot, ...]:
    """The user's running lines, innermost first, without those of the object's own constructors."""
    found: list[Spot] = []
    frame: FrameType | None = places.frame(1)
    while frame is not None and len(found) < DEPTH:
        code = frame.f_code
        if places.owns(code) and code not in constructors:
            found.append((code, frame.f_lasti, frame.f_lineno or 0))
        frame = frame.f_back
    return tuple(found)


def constructors(kind: type) -> frozenset[CodeType]:
    """The code of a class's constructors: their lines do not say what receives the object."""
    known = _constructors.get(kind)
    if known is None:
        found = (vars(base).get("__init__") for base in kind.__mro__)
        known = frozenset(init.__code__ for init in found if isinstance(init, FunctionType))
        _constructors[kind] = known
    return known


_constructors: weakref.WeakKeyDictionary[type, frozenset[CodeType]] = weakref.WeakKeyDictionary()


def made_as(made: tuple[Spot, ...], whole: bool = False) -> str:
    """The variable that receives what these lines made: ``model = Net()`` gives ``model``; '' when
    no line says it. ``whole``: not the result of a call to which it was given, as in
    ``score = fit(Net())``."""
    for code, lasti, line in made:
        source = Source.of(code.co_filename)
        at = _column(code, lasti)
        statement = source.statement(line, at)
        if isinstance(statement, ast.Return):
            continue  # made for the caller, whose line names it
        if statement is None or (whole and _given(statement, at)):
            return ""
        return _target(statement, at)
    return ""


def called_as(spot: Spot) -> str:
    """The expression that is called at this place: ``self.net(x)`` gives ``net``."""
    code, lasti, _ = spot
    position = _position(code, lasti)
    called = Source.of(code.co_filename).calls.get(position) if position else None
    return _short(called) if called is not None else ""


def global_name(places: Places, value: object) -> str:
    """The module-level variable of the user's running code that holds an object, or ''."""
    frame = places.frame(1)
    while frame is not None:
        if places.owns(frame.f_code):
            for name, held in list(frame.f_globals.items()):
                if held is value and not name.startswith("_"):
                    return name
        frame = frame.f_back
    return ""


class Source:
    """The statements and calls of one file, parsed once."""

    known: dict[str, "Source"] = {}

    def __init__(self, filename: str) -> None:
        self.statements: dict[int, list[ast.stmt]] = {}
        self.calls: dict[tuple[int, int, int, int], ast.expr] = {}
        tree = syntax_tree(filename)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.stmt) and not hasattr(node, "body"):
                for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                    self.statements.setdefault(line, []).append(node)
            if isinstance(node, ast.Call) and node.end_lineno and node.end_col_offset is not None:
                place = (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)
                self.calls[place] = node.func

    @classmethod
    def of(cls, filename: str) -> "Source":
        """The Source of a file or notebook cell."""
        if filename not in cls.known:
            cls.known[filename] = cls(filename)
        return cls.known[filename]

    def statement(self, line: int, at: tuple[int, int] = (0, 0)) -> ast.stmt | None:
        """The simple statement on this line; of several, the one that holds the place ``at`` (line
        and column)."""
        found = self.statements.get(line, [])
        return next((node for node in found if _holds(node, at)), found[-1] if found else None)


def _position(code: CodeType, lasti: int) -> tuple[int, int, int, int] | None:
    for index, (first, last, begin, end) in enumerate(code.co_positions()):
        if index == lasti // 2:
            if first is None or last is None or begin is None or end is None:
                return None
            return first, last, begin, end
    return None


def _column(code: CodeType, lasti: int) -> tuple[int, int]:
    position = _position(code, lasti)
    return (position[0], position[2]) if position else (0, 0)


def _holds(node: ast.stmt | ast.expr, at: tuple[int, int]) -> bool:
    begin = (node.lineno, node.col_offset)
    return begin <= at < (node.end_lineno or node.lineno, node.end_col_offset or 0)


def _given(statement: ast.stmt, at: tuple[int, int]) -> bool:
    """Whether what is made here is an argument of a call whose result the statement binds."""
    return isinstance(statement, (ast.Assign, ast.AnnAssign)) and any(
        _holds(part, at)
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
        for part in (*node.args, *[keyword.value for keyword in node.keywords])
    )


def _target(statement: ast.stmt, at: tuple[int, int]) -> str:
    """The name a statement binds, or the list it appends to."""
    if isinstance(statement, ast.Assign):
        target, value = statement.targets[0], statement.value
        if isinstance(target, ast.Tuple):
            if not isinstance(value, ast.Tuple) or len(value.elts) != len(target.elts):
                return ""
            for one, part in zip(target.elts, value.elts, strict=True):
                if _holds(part, at):
                    return _short(one)
            return ""
        return _short(target)
    if isinstance(statement, ast.AnnAssign):
        return _short(statement.target)
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        called = statement.value.func
        if isinstance(called, ast.Attribute) and called.attr in ("append", "add", "insert"):
            return _short(called.value)
    return ""


def _short(expression: ast.expr) -> str:
    """An expression as a person would say it: without a leading ``self.``."""
    if isinstance(expression, (ast.Name, ast.Attribute, ast.Subscript)):
        return ast.unparse(expression).removeprefix("self.")[:40]
    return ""
