"""Legal programs that look suspicious: no finding of warning or above, no fault, the same bits."""

import contextlib
import io
import json
import os
import random
import runpy
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import steplens
from steplens.model.finding import Severity

FOLDER = Path(__file__).parent / "idioms"
ALONE = {"data_parallel_world_of_one", "hogwild", "sharded_world_of_one"}  # processes or groups
IDIOMS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "weights")
LOUD = Severity("warning").rank


@pytest.fixture(autouse=True)
def quiet_world(monkeypatch: pytest.MonkeyPatch):
    """Each program begins with the same global state, and leaves none behind."""
    monkeypatch.syspath_prepend(str(FOLDER))
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)
    torch.set_grad_enabled(True)


def output(path: Path) -> str:
    """What the program prints, run in this process as the main program."""
    torch.manual_seed(0)
    random.seed(0)
    torch.compiler.reset()
    said = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(said):
        warnings.simplefilter("ignore")
        runpy.run_path(str(path), run_name="__main__")
    return said.getvalue()


@pytest.mark.parametrize("name", [name for name in IDIOMS if name not in ALONE])
def test_an_idiom_is_silent_and_keeps_its_bits(name: str) -> None:
    path = FOLDER / f"{name}.py"
    plain = output(path)
    lens = steplens.watch()
    with lens:
        watched = output(path)
    report = lens.report
    assert not report.faults
    loud = [finding for finding in report.findings if finding.severity.rank >= LOUD]
    assert not loud, report.text("full")
    assert watched == plain
    assert plain


@pytest.mark.parametrize("name", sorted(ALONE))
def test_an_idiom_of_several_processes_is_silent(name: str, tmp_path: Path) -> None:
    program, report = str(FOLDER / f"{name}.py"), tmp_path / "report.json"
    lens = [str(Path(sys.executable).with_name("steplens")), "run", "-q", "--output-format"]
    lens += ["json", "--output-file", str(report)]
    plain, watched = (
        subprocess.run(
            [*command, program],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for command in ([sys.executable], lens)
    )
    said = json.loads(report.read_text())
    assert not said["faults"]
    assert not [f for f in said["findings"] if f["severity"] != "note"]
    assert watched == plain
    assert plain


@pytest.mark.parametrize("name", ["compiled", "compiled_step"])
def test_nothing_of_ours_is_compiled(name: str) -> None:
    counters = pytest.importorskip("torch._dynamo.utils").counters
    counted = []
    for watch in (contextlib.nullcontext, steplens.watch):
        counters.clear()
        with watch():
            output(FOLDER / f"{name}.py")
        counted.append({key: dict(counter) for key, counter in counters.items()})
    assert counted[0] == counted[1]
    assert counted[0]["frames"]["ok"] == 1


def test_there_are_enough_of_them() -> None:
    assert len(IDIOMS) >= 45
