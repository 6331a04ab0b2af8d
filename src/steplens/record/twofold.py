"""Twofold: averages by hand of a model's part with itself, as the part has two names there."""

import ast
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import TYPE_CHECKING

from torch import nn

from steplens.model.event import Load
from steplens.record import members
from steplens.record.account import Account
from steplens.record.bound import lines_between, walked
from steplens.record.settings import lines_of, ran
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOOKS = 4  # at which the modules are gone through, in the window


class Twofold:
    """The pairs of names told of.

    An average is read from the source: a loop through the parameters of both names, whose only
    statement writes to one side a blend, by a share and one less that share, of the two. It counts
    if the window sees that statement run while the part has both names, and no module has them for
    two parts.
    """

    def __init__(self) -> None:
        self.looks = 0
        self.told: set[tuple[str, str]] = set()
        # (names, line) -> how often it had run when the part was first seen to have both
        self.runs: dict[tuple[tuple[str, str], int], int] = {}

    def look(self, recorder: "Recorder", accounts: Sequence[Account]) -> None:
        """Whether a part that this step moves has two names, and is averaged with itself."""
        if self.looks >= LOOKS or not recorder.detail.open:
            return
        self.looks += 1
        stepped = {id(tensor) for account in accounts if (tensor := account.ref()) is not None}
        modules = list(recorder.census.alive())
        for holder in modules:
            for one, other in _twice(holder):
                part = holder._modules[one]
                numbers = [
                    recorder.census.account(parameter).number
                    for parameter in (members.parameters(part) if part is not None else ())
                    if id(parameter) in stepped
                ]
                if numbers and not any(_apart(module, one, other) for module in modules):
                    self._tell(recorder, holder, (one, other), numbers)

    def _tell(
        self, recorder: "Recorder", holder: nn.Module, names: tuple[str, str], numbers: list[int]
    ) -> None:
        for code in ran(recorder.places) if names not in self.told else ():
            for node, one, other in _averages(recorder, code, names):
                runs = recorder.detail.tracker.runs(code, node.lineno)
                if runs <= self.runs.setdefault((names, node.lineno), runs):
                    continue
                self.told.add(names)
                part = recorder.census.known_module(holder._modules[names[0]] or holder)
                recorder.emit(
                    Load(
                        recorder.index(),
                        recorder.step,
                        recorder.places.line(code, node.lineno),
                        "average",
                        part,
                        tuple(numbers),
                        len(numbers),
                        bound=lines_between(recorder.places, code.co_filename, one, other),
                    )
                )
                return


def _twice(holder: nn.Module) -> Iterator[tuple[str, str]]:
    """The pairs of names of one part."""
    names: dict[int, str] = {}
    for name, part in holder._modules.items():
        if part is not None and name.isidentifier():
            first = names.setdefault(id(part), name)
            if first != name:
                yield first, name


def _apart(module: nn.Module, one: str, other: str) -> bool:
    parts = module._modules
    return one in parts and other in parts and parts[one] is not parts[other]


def _averages(
    recorder: "Recorder", code: CodeType, names: tuple[str, str]
) -> Iterator[tuple[ast.stmt, str, str]]:
    """The statements of a function that average the parts of these names, and what these are
    called there."""
    lines, knows = lines_of(code), recorder.detail.tracker.knows
    tree = syntax_tree(code.co_filename) if {*names} <= {*code.co_names} else None
    for loop in ast.walk(tree) if tree is not None else ():
        if not isinstance(loop, ast.For) or loop.lineno not in lines or len(loop.body) != 1:
            continue
        if not isinstance(loop.iter, ast.Call) or not isinstance(loop.target, ast.Tuple):
            continue
        sides = [walked(argument) for argument in loop.iter.args]
        variables = [ast.unparse(each) for each in loop.target.elts]
        if ast.unparse(loop.iter.func) != "zip" or len(sides) != 2 or len(variables) != 2:
            continue
        owners = [side.rpartition(".") for side in sides]
        same = {owner for owner, _, _ in owners}
        body = loop.body[0]
        named = {name for _, _, name in owners} == {*names} and len(same) == 1 and all(same)
        if named and knows(code, body.lineno) and _blends(body, {*variables}):
            yield body, sides[0], sides[1]


def _blends(node: ast.stmt, names: set[str]) -> bool:
    """Whether a statement writes a blend of two tensors of these names to one of them. Methods that
    write to a parameter itself are heard (``selfcopies``), those that write to its ``data`` are
    not."""
    if isinstance(node, ast.Assign):
        target = node.targets[0]
        held = isinstance(target, ast.Attribute) and target.attr == "data"
        return held and _named(target) in names and _mixed(node.value, names)
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or not call.args:
        return False
    written, given = call.func.value, call.args[0]
    match call.func.attr:
        case "copy_":
            return _named(written) in names and _mixed(given, names)
        case "lerp_":
            return _past(written, given) and {_named(written), _named(given)} == names
        case "add_":
            return _past(written, given) and _scaled(written, given, call.keywords, names)
        case _:
            return False


def _past(written: ast.expr, given: ast.expr) -> bool:
    parts = [*ast.walk(written), *ast.walk(given)]
    return any(isinstance(each, ast.Attribute) and each.attr == "data" for each in parts)


def _scaled(written: ast.expr, given: ast.expr, words: list[ast.keyword], names: set[str]) -> bool:
    """Whether it is ``a.mul_(c).add_(b * (1 - c))``, or the same by ``alpha=1 - c``."""
    if not isinstance(written, ast.Call) or not isinstance(written.func, ast.Attribute):
        return False
    if written.func.attr != "mul_" or len(written.args) != 1:
        return False
    alphas = [word.value for word in words if word.arg == "alpha"]
    other, rest = (_named(given), alphas[0]) if alphas else _share(given, names)
    same = {_named(written.func.value), other} == names
    return same and rest is not None and _whole(written.args[0], rest)


def _mixed(value: ast.expr, names: set[str]) -> bool:
    """Whether it is ``a * c + b * (1 - c)``, of two tensors of these names."""
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add):
        return False
    (one, share), (other, rest) = _share(value.left, names), _share(value.right, names)
    return {one, other} == names and share is not None and rest is not None and _whole(share, rest)


def _share(value: ast.expr, names: set[str]) -> tuple[str, ast.expr | None]:
    """Which of two tensors a product is of, and its factor."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
        for tensor, factor in ((value.left, value.right), (value.right, value.left)):
            if _named(tensor) in names:
                return _named(tensor), factor
    return "", None


def _whole(one: ast.expr, other: ast.expr) -> bool:
    """Whether one factor is ``c`` and the other ``1 - c``."""
    for share, rest in ((one, other), (other, one)):
        less = rest if isinstance(rest, ast.BinOp) and isinstance(rest.op, ast.Sub) else None
        if less is not None and ast.unparse(less.left) in ("1", "1.0"):
            return ast.unparse(less.right) == ast.unparse(share)
    numbers = [each.value for each in (one, other) if isinstance(each, ast.Constant)]
    known = [each for each in numbers if isinstance(each, float)]
    return len(known) == 2 and abs(sum(known) - 1) < 1e-9


def _named(value: ast.expr) -> str:
    """``k`` of ``k`` and of ``k.data``."""
    if isinstance(value, ast.Attribute) and value.attr == "data":
        value = value.value
    return value.id if isinstance(value, ast.Name) else ""
