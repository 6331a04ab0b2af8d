"""Run every practice case of ../shared under steplens, and say which it gets right.

A case is right when its ``bug.py`` gets a finding with a fitting code at an accepted line (its
``at`` or a ``because``), and its ``fixed.py`` nothing of warning or above. Exit status 1 if
anything is not right, 0 also when the folder is not there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
TIMEOUT = 180  # seconds for one program
LOUD = ("warning", "error")

# case family -> the codes that name its mistake, as rules.md defines them
FITTING = {
    "missing-zero-grad": ("SL201",),
    "zero-grad-placement": ("SL201", "SL202"),
    "step-missing": ("SL202", "SL204", "SL305"),
    "step-without-backward": ("SL202", "SL203"),
    "eval-mode-training": ("SL101",),
    "train-mode-evaluation": ("SL102",),
    "functional-dropout-always-on": ("SL104",),
    "missing-no-grad": ("SL103",),
    "graph-kept-alive": ("SL211", "SL401", "SL402", "SL403"),
    "detached-graph": ("SL106", "SL203", "SL210", "SL303", "SL310"),
    "params-not-in-optimizer": ("SL301", "SL310"),
    "optimizer-holds-stale-params": ("SL301", "SL302"),
    "frozen-by-mistake": ("SL203", "SL301", "SL303"),
    "unfrozen-by-mistake": ("SL105", "SL316"),
    "stale-optimizer-state": ("SL304",),
    "scheduler-misuse": ("SL305", "SL306", "SL307", "SL308", "SL314"),
    "grad-clip-misuse": ("SL206",),
    "gan-cross-contamination": ("SL205",),
    "loss-input-mismatch": ("SL501", "SL502", "SL503", "SL504", "SL505", "SL510", "SL517"),
    "inplace-aliasing": ("SL212", "SL311", "SL312", "SL313", "SL509"),
    "weight-tying-broken": ("SL309",),
    "unregistered-params-buffers": ("SL301", "SL310", "SL315"),
    "identical-batches": ("SL506",),
    "worker-rng-duplication": ("SL507",),
    "batch-dim-leakage": ("SL505", "SL508"),
    "nan-inf-silent": ("SL601", "SL602"),
    "accumulation-scaling": ("SL207",),
    "numerics": ("SL601", "SL602", "SL603", "SL604", "SL605", "SL606", "SL607", "SL608", "SL609"),
    "ddp": ("SL701", "SL702", "SL703", "SL704"),
}

# the letter of a small case -> the codes that name its mistake
SMALL = {
    "a": ("SL201",),
    "b": ("SL202",),
    "c": ("SL101",),
    "d": ("SL102",),
    "e": ("SL301", "SL302"),
    "f": ("SL304",),
    "g": ("SL401",),
    "h": ("SL501",),
    "i": ("SL504",),
    "i2": ("SL504",),
    "j": ("SL203",),
    "k": ("SL202", "SL203"),
}


@dataclass
class Program:
    """One program to run: ``codes`` are fitting (none: it must stay silent), ``lines`` accepted
    (none: any)."""

    name: str
    path: Path
    codes: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()


@dataclass
class Result:
    """What running it gave. ``found`` are fitting findings at accepted lines, ``astray`` fitting
    ones elsewhere, ``extra`` other loud ones, ``broken`` what went wrong in the run."""

    program: Program
    found: list[str] = field(default_factory=list)
    astray: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether a bug was found, or a fixed program left alone."""
        if self.broken:
            return False
        if self.program.codes:
            return bool(self.found)
        return not self.extra

    @property
    def verdict(self) -> str:
        """One word for the table."""
        if self.broken:
            return "BROKEN"
        if not self.program.codes:
            return "silent" if self.right else "ALARM"
        if self.found:
            return "found"
        return "MISSED"


def programs(only: str) -> list[Program]:
    """All programs of the shared folders whose case begins with ``only``."""
    found: list[Program] = []
    for folder in sorted((SHARED / "cases").glob(f"{only}*")):
        if not (folder / "case.json").is_file():
            continue
        case = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        family = case["family"]
        codes = FITTING.get(family, ("?",))  # an unknown family is always missed
        lines = tuple(case["bug_lines"])
        found.append(Program(folder.name, folder / "bug.py", codes, lines))
        found.append(Program(folder.name, folder / "fixed.py"))
    for path in sorted((SHARED / "cases-small").glob(f"{only}*.py")):
        codes = SMALL.get(path.stem.partition("_")[0], ())
        found.append(Program(f"small/{path.stem}", path, codes))
    return found


def run(program: Program, *, plain: bool) -> Result:
    """Run one program under steplens, and under python too if ``plain``."""
    result = Result(program)
    with tempfile.TemporaryDirectory(prefix="steplens-case-") as folder:
        report = Path(folder, "report.json")
        watched = [str(Path(sys.executable).with_name("steplens")), "run", "-q"]
        watched += ["--output-format", "json", "--output-file", str(report)]
        ended = _call([*watched, str(program.path)], folder)
        if isinstance(ended, str):
            result.broken.append(ended)
            return result
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or ["no words"])[-1]
            result.broken.append(f"exit status {ended.returncode}: {last}")
        if plain:
            alone = _call([sys.executable, str(program.path)], folder)
            if isinstance(alone, str) or alone.stdout != ended.stdout:
                result.broken.append("its output differs from that of a plain run")
        if report.is_file():
            _read(result, json.loads(report.read_text(encoding="utf-8")))
        else:
            result.broken.append("no report")
    return result


def _call(command: list[str], folder: str) -> subprocess.CompletedProcess[str] | str:
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"ran past {TIMEOUT} s"


def _read(result: Result, report: dict) -> None:
    """Sort the report's findings by what this program asks for."""
    program = result.program
    result.broken += [f"fault: {fault}" for fault in report["faults"]]
    for finding in report["findings"]:
        code, lines = finding["code"], _lines(finding)
        words = f"{code}@{','.join(map(str, lines)) or '-'}"
        if code in program.codes:
            fits = not program.lines or set(lines) & set(program.lines)
            (result.found if fits else result.astray).append(words)
        elif finding["severity"] in LOUD:
            result.extra.append(words)


def _lines(finding: dict) -> list[int]:
    places = [finding["at"], *(because["at"] for because in finding["because"])]
    return [place["line"] for place in places if place]


def table(results: Iterable[Result]) -> str:
    """One row for each program."""
    rows = [("program", "verdict", "found", "astray or extra")]
    for result in results:
        name = result.program.name
        if not name.startswith("small/"):
            name += f"/{result.program.path.stem}"
        rest = [*(f"astray {words}" for words in result.astray), *result.extra, *result.broken]
        rows.append((name, result.verdict, " ".join(result.found), "; ".join(rest)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        .rstrip()
        for row in rows
    )  # fmt: skip


def summary(results: list[Result]) -> str:
    """The counts in one line."""
    bugs = [result for result in results if result.program.codes]
    silent = [result for result in results if not result.program.codes]
    return (
        f"{sum(bool(result.found) for result in bugs)} of {len(bugs)} bugs found, "
        f"{sum(bool(result.extra) for result in bugs)} of them with extra findings; "
        f"{sum(result.right for result in silent)} of {len(silent)} fixed programs silent; "
        f"{sum(bool(result.broken) for result in results)} runs broken"
    )


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="cases whose name begins so, such as 042")
    parser.add_argument("-j", type=int, default=2, help="programs at a time, default 2")
    parser.add_argument("--plain", action="store_true", help="compare the output with python's")
    options = parser.parse_args()
    if not (SHARED / "cases").is_dir():
        print(f"no cases to run: {SHARED / 'cases'} is not there")
        return 0
    chosen = programs(options.only)
    if not chosen:
        print(f"no case begins with `{options.only}`")
        return 2
    with ThreadPoolExecutor(options.j) as pool:
        results = list(pool.map(lambda program: run(program, plain=options.plain), chosen))
    print(table(results))
    print(summary(results))
    return 0 if all(result.right for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
