"""An experiment's source, and the run of it that steplens itself watches."""

import ast
import inspect
import textwrap
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from steplens.check.session import Session
from steplens.config import Config
from steplens.lab.base import Claim, Measured
from steplens.lab.isolation import as_it_was
from steplens.lab.running import Outcome, decided, failed, plain


@cache
def source(claim: Claim) -> str:
    """The body of the experiment, as it is run, without its indentation."""
    lines = _text(claim).splitlines()
    node = _function(claim)
    return textwrap.dedent("\n".join(lines[_first(node) - 1 : node.end_lineno])) + "\n"


@cache
def criteria(claim: Claim) -> dict[str, str]:
    """The expressions that decide: ``holds``, and ``elsewhere`` for a claim with a condition."""
    text = _text(claim)
    call = _function(claim).decorator_list[0]
    found: dict[str, str] = {}
    for keyword in call.keywords if isinstance(call, ast.Call) else []:
        if keyword.arg in ("holds", "elsewhere") and isinstance(keyword.value, ast.Lambda):
            said = ast.get_source_segment(text, keyword.value.body) or ""
            found[keyword.arg] = " ".join(said.split())
    return found


def watch(claim: Claim) -> Outcome:
    """Run a claim's experiment with a Session watching it; its lines are numbered as in
    ``source``."""
    experiment = _alone(claim)
    session = Session(Config(lines=100, folder="", source=True), program=claim.name)
    session.search = False
    session.report.sources[claim.name] = source(claim)
    session.cell(_filename(claim), claim.name, 0, "")
    begin = time.perf_counter()
    error: Exception | None = None
    measured: Measured = {}
    with as_it_was():
        session.start()
        try:
            measured = experiment()
        except Exception as raised:
            error = raised
        report = session.stop("failed" if error else "done")
        measured = plain(measured)
    seconds = time.perf_counter() - begin
    if error is not None:
        return failed(claim, error, seconds, report)
    return decided(claim, measured, seconds, report)


def _alone(claim: Claim) -> Callable[[], Measured]:
    """The experiment compiled for itself, under the claim's name, its first line being line 1."""
    node = _function(claim)
    node.decorator_list = []
    ast.increment_lineno(node, 1 - _first(node))
    code = compile(ast.Module([node], []), _filename(claim), "exec", dont_inherit=True)
    names: dict[str, Any] = dict(vars(_module(claim)))
    exec(code, names)
    return names[node.name]


def _filename(claim: Claim) -> str:
    return f"<lab {claim.name}>"


def _function(claim: Claim) -> ast.FunctionDef:
    name = claim.experiment.__name__
    tree = ast.parse(_text(claim))
    return next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name)


def _first(node: ast.FunctionDef) -> int:
    """The line on which the body begins: that of a decorator, when it begins with a function."""
    first = node.body[0]
    return min([first.lineno, *(each.lineno for each in getattr(first, "decorator_list", ()))])


def _module(claim: Claim) -> ModuleType:
    found = inspect.getmodule(claim.experiment)
    assert found is not None
    return found


@cache
def _text(claim: Claim) -> str:
    return Path(_module(claim).__file__ or "").read_text(encoding="utf-8")
