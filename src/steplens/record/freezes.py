"""Freezes: lines that set ``requires_grad`` of a module's parameters once the window is over.

Nothing hears the flag being set. A loop that sets it asks the module for its parameters first, as
``requires_grad_`` of a module does itself: where the source of the asking line says so, the flags
of all parameters are read then, and again before the next such line, optimizer or forward.
"""

import ast
from collections.abc import Callable, Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn

from steplens.model.event import Flagged
from steplens.model.site import Site
from steplens.record.source import spans, syntax_tree
from steplens.record.wrap import overhear

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TIMES = 16  # lines that are followed in a run: a GAN's loop sets flags at each step
FLAG, METHOD = "requires_grad", "requires_grad_"
WALKS = ("parameters", "named_parameters")


class Setting(NamedTuple):
    """A line that sets flags, and to what; None where the source does not say."""

    line: int
    value: bool | None


class Freezes:
    """The flags as they were before the line that sets them now, and that line."""

    def __init__(self) -> None:
        self.left = TIMES
        self.settings: dict[tuple[int, int], tuple[CodeType, Setting | None]] = {}
        self.flags: dict[int, bool] = {}
        self.setting: tuple[Site, bool | None] | None = None

    def asked(self, recorder: "Recorder") -> None:
        """A line of the user's asks a module for its parameters."""
        frame = recorder.places.frame(2)
        if frame is None:
            return
        code, line = frame.f_code, frame.f_lineno
        known = self.settings.get((id(code), line))
        if known is None:
            known = self.settings[id(code), line] = code, _setting(code, line)
        setting = known[1]
        if setting is None:
            return
        recorder.leave()  # the forward after it is to be told
        self.look(recorder)
        self.left -= 1
        self.flags = _flags(recorder)
        self.setting = recorder.places.line(code, setting.line), setting.value

    def look(self, recorder: "Recorder") -> None:
        """Tell which flags the line has set, if one was followed."""
        if self.setting is None:
            return
        (site, value), self.setting = self.setting, None
        flags = _flags(recorder)
        for flag in (False, True):
            moved = [n for n, now in flags.items() if now is flag and self.flags.get(n) is not flag]
            moved = [number for number in moved if number in self.flags]
            if moved and value in (flag, None):
                index = recorder.index()
                recorder.emit(Flagged(index, recorder.step, site, tuple(moved), flag))


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear modules being asked for their parameters, once the window of line detail is over."""
    freezes, detail, local = recorder.freezes, recorder.detail, recorder.local

    def due() -> bool:
        return not detail.open and recorder.step > 0 and freezes.left > 0 and local.stepping < 0

    def heard(*_: Any, **__: Any) -> None:
        freezes.asked(recorder)

    return [overhear(recorder, "freezes", nn.Module, "named_parameters", due, heard)]


def _flags(recorder: "Recorder") -> dict[int, bool]:
    """Which parameters require a gradient now."""
    entries = recorder.roster.tensors
    return {
        account.number: tensor.requires_grad
        for account in list(recorder.census.accounts.values())
        if (tensor := account.ref()) is not None and entries[account.number].role == "parameter"
    }


def _setting(code: CodeType, line: int) -> Setting | None:
    """What the statement on this line, or the loop that begins on it, sets flags to."""
    if FLAG not in code.co_names and METHOD not in code.co_names:
        return None
    tree = syntax_tree(code.co_filename)
    found: list[Setting] = []
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.For) and spans(node.iter, line) and _walks(node.iter):
            found += [each for part in node.body for each in _set_in(part)]
        elif isinstance(node, ast.Expr) and spans(node, line):
            found += _set_in(node)
    if not found:
        return None
    values = {setting.value for setting in found}
    return Setting(found[0].line, values.pop() if len(values) == 1 else None)


def _walks(value: ast.expr) -> bool:
    return any(isinstance(each, ast.Attribute) and each.attr in WALKS for each in ast.walk(value))


def _set_in(statement: ast.stmt) -> Iterator[Setting]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr == FLAG:
                    yield Setting(node.lineno, _value(node.value))
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Call) and isinstance(called, ast.Attribute):
            if called.attr != METHOD:
                continue
            yield Setting(node.lineno, _value(node.args[0]) if node.args else True)


def _value(value: ast.expr) -> bool | None:
    known = value.value if isinstance(value, ast.Constant) else None
    return known if isinstance(known, bool) else None
