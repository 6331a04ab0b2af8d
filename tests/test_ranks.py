"""Programs of several ranks: torchrun, spawned and forked ones; DDP, FSDP2, ZeRO, checkpointing."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import steplens
from steplens.check import turn
from steplens.config import launched

FOLDER = Path(__file__).parent / "ranks"
ROOT = Path(__file__).parent.parent
ENVIRON = {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
LENS = ["-m", "steplens", "run", "-q"]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, **ENVIRON},
        capture_output=True,
        text=True,
        timeout=240,
    )


def files(folder: Path) -> list[Path]:
    """The Report files by the rank in their names, which begin with the second of their start."""
    found = (folder / ".steplens").glob("*.json")
    return sorted(found, key=lambda path: path.name.rpartition("-")[2])


def reports(folder: Path) -> list[steplens.Report]:
    return [steplens.load(path) for path in files(folder)]


def test_each_rank_of_torchrun_leaves_a_report_and_one_prints(tmp_path):
    program = str(FOLDER / "torchrun.py")
    done = run(tmp_path, *TORCHRUN, *LENS, "--fail-on", "warning", program)
    assert done.returncode == 0, done.stderr
    losses, _, rest = done.stdout.partition("\n")
    assert len(json.loads(losses)) == 3  # the program's own line, from its first rank
    assert rest.startswith("note[SL002 region-not-seen]")
    assert done.stdout.count("region-not-seen") == 1  # the note on FSDP2, by the first rank alone
    found = reports(tmp_path)
    assert [report.ranks.rank for report in found] == [0, 1]
    names = [path.name for path in files(tmp_path)]
    assert [name.rpartition("-")[2] for name in names] == ["rank0.json", "rank1.json"]
    for report in found:
        assert report.complete
        assert report.ranks.world == 2
        assert not report.faults
        assert [finding.code for finding in report.findings] == ["SL002"]
        held = {entry.name for entry in report.roster.tensors.values() if entry.role == "parameter"}
        assert held == {
            f"{layer}.{what}"
            for layer in ("first", "block.0", "head")
            for what in ("weight", "bias")
        }


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_ranks_that_the_program_starts_are_watched(method, tmp_path):
    words = [str(FOLDER / "spawned.py"), method, str(tmp_path), "forgetful"]
    done = run(tmp_path, *LENS, "--output-format", "full", "--fail-on", "error", *words)
    assert done.stdout.startswith("joined spawned.py\n"), done.stderr
    assert done.returncode == 1
    assert done.stdout.count("error[SL201 gradients-never-cleared]") == 1
    assert "evidence: rank: 1, expected the same on all ranks" in done.stdout
    first, second = reports(tmp_path)
    assert (first.ranks.rank, second.ranks.rank) == (0, 1)
    assert first.complete
    assert second.complete
    assert first.steps == second.steps == 6
    assert not first.findings
    assert [finding.code for finding in second.findings] == ["SL201"]
    assert second.findings[0].at.file.endswith("spawned.py")


def test_a_rank_that_never_steps_leaves_a_report(tmp_path):
    done = run(tmp_path, *LENS, str(FOLDER / "spawned.py"), "spawn", str(tmp_path), "idle")
    assert done.returncode == 0, done.stderr
    first, second = reports(tmp_path)
    assert (first.steps, second.steps) == (6, 0)
    assert not first.findings
    assert [finding.code for finding in second.findings] == ["SL204"]


@pytest.mark.parametrize(
    ("name", "code"), [("bypass.py", "SL701"), ("reads.py", "SL703"), ("apart.py", "SL704")]
)
def test_what_a_rank_program_announces_is_told_and_nothing_else(tmp_path, name, code):
    program = FOLDER / name
    done = run(tmp_path, *LENS, str(program), str(tmp_path))
    assert done.returncode == 0, done.stderr
    lines = enumerate(program.read_text().splitlines(), 1)
    announced = {number for number, line in lines if line.endswith(f"# {code}")}
    assert announced
    for report in reports(tmp_path):
        assert not report.faults
        found = {(finding.code, finding.at.line) for finding in report.findings}
        assert found == {(code, number) for number in announced}


def test_a_rank_waits_until_the_first_one_has_ended_or_was_killed(tmp_path, monkeypatch):
    own = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_PORT": "1"}
    launch = launched(own)[2].rpartition(":")[0] + f":{os.getpid()}"
    program = f"""if True:
        from steplens.check import turn
        with turn.working({str(tmp_path)!r}):
            print("at work", flush=True)
            input()
    """
    for name in ("MASTER_ADDR", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    for end in ("told", "killed"):
        first = subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, **ENVIRON, **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with first:
            assert first.stdout.readline() == "at work\n"
            waiting = threading.Thread(target=turn.wait, args=(str(tmp_path), launch, 120.0))
            waiting.start()
            waiting.join(0.3)
            assert waiting.is_alive()
            if end == "told":
                first.stdin.write("\n")
                first.stdin.flush()
            else:
                first.kill()
            waiting.join(60.0)
            assert not waiting.is_alive()
        assert len(list(tmp_path.glob("*.lock"))) == (end == "killed")
    turn.wait(str(tmp_path), "another launch", 120.0)  # whose first rank runs elsewhere
