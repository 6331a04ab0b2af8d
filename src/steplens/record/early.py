"""Early: loops over a loader that sum up batches, and return within their first round."""

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from steplens.model.event import Vain
from steplens.model.site import Site
from steplens.record.settings import lines_of
from steplens.record.source import spans, syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 64  # loops looked at


class Early:
    """The lines at which loops over loaders begin, looked at once each."""

    def __init__(self) -> None:
        self.looked: set[Site] = set()
        # loaders of which no pass has come to a second batch, and whether one came to a first
        self.first: dict[int, bool] = {}

    def read(self, number: int, count: int) -> None:
        """The ``count``-th batch of a pass was read."""
        if count > 1:
            self.first.pop(number, None)
        elif number in self.first:
            self.first[number] = True

    def begins(self, recorder: "Recorder", number: int, passes: int, batches: int) -> None:
        """A pass over a loader of so many batches begins: if each before it ended after its first
        batch, read the loop."""
        if passes == 1:
            self.first.pop(number, None)
            if batches > 1 and len(self.first) < MOST:
                self.first[number] = False
            return
        frame = recorder.places.frame(1)
        if not self.first.get(number) or frame is None:
            return
        site = recorder.places.of(frame)
        if site in self.looked or len(self.looked) >= MOST:
            return
        self.looked.add(site)
        tree, lines = syntax_tree(frame.f_code.co_filename), lines_of(frame.f_code)
        for function in ast.walk(tree) if tree is not None else ():
            if isinstance(function, ast.FunctionDef) and function.lineno <= site.line:
                for line, name in _returns(function, site.line):
                    if line in lines:
                        at = recorder.places.line(frame.f_code, line)
                        index = recorder.index()
                        recorder.emit(Vain(index, recorder.step, at, "early", name, value=batches))


def _returns(function: ast.FunctionDef, line: int) -> Iterator[tuple[int, str]]:
    """Where the loop that begins on this line returns, as the last thing of each round, what it
    adds to in each round: a name that is 0, or an empty list, before it."""
    for loop in ast.walk(function):
        if not isinstance(loop, ast.For) or not spans(loop.iter, line):
            continue
        last = loop.body[-1]
        if not isinstance(last, ast.Return) or last.value is None:
            continue
        read = {node.id for node in ast.walk(last.value) if isinstance(node, ast.Name)}
        sums = set(_added(loop.body)) & read & set(_empty(function, loop.lineno))
        if sums:
            yield last.lineno, sorted(sums)[0]


def _added(body: list[ast.stmt]) -> Iterator[str]:
    """The names that each round adds to, once: ``total += x``, ``scores.append(x)``."""
    for node in body:
        if isinstance(node, ast.With):
            yield from _added(node.body)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            owner, _, method = ast.unparse(node.value.func).rpartition(".")
            if method in ("append", "extend"):
                yield owner


def _empty(function: ast.FunctionDef, line: int) -> Iterator[str]:
    """The names that are bound to 0 or to an empty list above a line."""
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign) or node.lineno >= line:
            continue
        for target in node.targets:
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=False))
            for name, value in pairs:
                zero = ast.unparse(value) in ("0", "0.0")
                if isinstance(name, ast.Name) and (zero or ast.unparse(value) == "[]"):
                    yield name.id
