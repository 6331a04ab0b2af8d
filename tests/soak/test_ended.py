"""However a program ends, what was seen until then can be read, and the Report says what is
missing."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from steplens.check.reporting import Report, load

SOAK = bool(os.environ.get("STEPLENS_SOAK"))
PLAIN = {key: word for key, word in os.environ.items() if not key.startswith("STEPLENS_")}
KILLS = 20 if SOAK else 1
PROGRAM = """
import os, sys, threading, torch
from torch import nn
torch.set_num_threads(1)
model = nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
def step():
    model(torch.randn(8, 4)).pow(2).mean().backward()
    optimizer.step()
for number in range(STEPS):
    step()
    print(number, flush=True)
END
print("end", flush=True)
"""
LAST = "while True: step(), print(flush=True)"
UNSPEAKABLE = """
class Unspeakable(Exception):
    def __str__(self): raise RuntimeError
raise Unspeakable
"""
THREADS = """
def train():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad(); model(torch.randn(8, 4)).pow(2).mean().backward(); optimizer.step()
threads = [threading.Thread(target=train) for _ in range(2)]
for each in threads: each.start()
for each in threads: each.join()
"""
FORK = """
child = os.fork()
if not child:
    step(); os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
DEEP = "def deep(n): return deep(n + 1)\ndeep(0)"
ENDS = {
    "in silence": ("", 0, True),
    "os._exit": ("os._exit(3)", 3, False),
    "sys.exit": ("sys.exit(4)", 4, True),
    "sys.exit in a thread": (
        "t = threading.Thread(target=lambda: sys.exit(9)); t.start(); t.join()", 0, True),
    "deep recursion": (DEEP, 1, True),
    "an exception without words": (UNSPEAKABLE, 1, True),
    "two threads that train": (THREADS, 0, True),
    "a fork": (FORK, 0, True),
    "an interrupt": ("import signal; os.kill(os.getpid(), signal.SIGINT); step()", 130, True),
    "a termination": ("import signal; os.kill(os.getpid(), signal.SIGTERM); step()", -15, False),
}  # fmt: skip


def start(folder: Path, text: str, before: str = "") -> subprocess.Popen[str]:
    """Run a program watched, in its folder."""
    (folder / "train.py").write_text(text)
    command = f"{before} exec {sys.executable} -m steplens run -q train.py"
    return subprocess.Popen(
        ["bash", "-c", command],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=PLAIN | {"OMP_NUM_THREADS": "1"},
    )


def program(end: str, steps: int = 4) -> str:
    return PROGRAM.replace("STEPS", str(steps)).replace("END", end)


def report(folder: Path) -> Report:
    """The one Report in the folder; no draft is left beside a whole one."""
    found = list((folder / ".steplens").glob("*.json"))
    assert len(found) == 1
    return load(found[0])


@pytest.mark.parametrize("how", ENDS if SOAK else ["sys.exit in a thread"])
def test_a_program_ends_as_it_would_and_leaves_its_report(how: str, tmp_path: Path) -> None:
    end, status, complete = ENDS[how]
    run = start(tmp_path, program(end))
    out, err = run.communicate(timeout=300)
    assert run.returncode == status, err
    assert out.startswith("0\n1\n2\n3\n")
    found = report(tmp_path)
    assert found.faults == []
    assert found.complete == complete
    assert found.steps == 4 + 40 * (how == "two threads that train") if complete else found.steps
    assert complete or "incomplete" in found.text("full")


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_killed_program_leaves_a_readable_report(seed: int, tmp_path: Path) -> None:
    lines = random.Random(seed).randrange(1, 60)
    run = start(tmp_path, program(LAST))
    assert run.stdout is not None
    for _ in range(lines):
        assert run.stdout.readline()
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=300)
    found = report(tmp_path)
    assert not found.complete
    assert found.faults == []
    assert found.text("full")
    assert found.steps <= lines + 1


UNWRITABLE = ["a full disk", "a folder deleted", "a file in its place"]


@pytest.mark.parametrize("how", UNWRITABLE if SOAK else UNWRITABLE[:1])
def test_a_report_that_cannot_be_written_changes_nothing(how: str, tmp_path: Path) -> None:
    text, before = program("", 4), ""
    if how == "a full disk":
        before = "trap '' XFSZ; ulimit -f 1;"
    elif how == "a folder deleted":
        # once torch has all that it loads by and by: it cannot make an optimizer in a folder gone
        text = program(f"import shutil; shutil.rmtree({str(tmp_path)!r}); step()", 4)
    else:
        (tmp_path / ".steplens").write_text("")
    run = start(tmp_path, text, before)
    out, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    assert out.startswith("0\n1\n2\n3\nend\n")
    assert "Traceback" not in err
