"""Watching a function of a test program, and reading what its comments expect."""

import importlib.util
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

import steplens
from steplens.check.reporting import Report

PROGRAMS = Path(__file__).parent / "programs"
EXPECTED = re.compile(r"#.*?\b(SL\d{3}(?:[ ,]+SL\d{3})*)\s*$")


def load(path: Path) -> ModuleType:
    """The program's module, loaded afresh."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def functions(path: Path) -> list[str]:
    """The names of the program's bad_, good_ and fine_ functions."""
    return re.findall(r"^def ((?:bad|good|fine)_\w+)\(", path.read_text(), flags=re.MULTILINE)


def watched(function: Callable[[], object]) -> Report:
    """Run a function under a watch with a fixed seed; an exception of its own ends it and is part
    of the report."""
    torch.manual_seed(0)
    torch.set_grad_enabled(True)
    lens = steplens.watch(search=False)  # what other tests left alive is not the program's
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with lens:
                function()
    except Exception as error:
        if not lens.report.findings:
            raise error
    finally:
        torch.set_grad_enabled(True)
    assert not lens.report.faults, lens.report.faults
    return lens.report


def expected(path: Path, function: Callable[..., object]) -> set[tuple[int, str]]:
    """(line, code) pairs that the comments in this function announce."""
    code = function.__code__
    lines = path.read_text().splitlines()
    begin = code.co_firstlineno
    end = next(
        (n for n in range(begin, len(lines)) if lines[n] and not lines[n][0].isspace()), len(lines)
    )
    found: set[tuple[int, str]] = set()
    for number in range(begin, end + 1):
        match = EXPECTED.search(lines[number - 1])
        if match:
            found.update((number, rule) for rule in re.findall(r"SL\d{3}", match[1]))
    return found


def found(report: Report) -> set[tuple[int, str]]:
    """(line, code) pairs of a report's findings; line 0 for a finding without a place."""
    return {(finding.at.line if finding.at else 0, finding.code) for finding in report.findings}
