"""In continuous integration: the hook, the formats, library frames, and the shell's completion."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from steplens.check import completing
from steplens.record.places import Places
from steplens.rules import RULES

ROOT = Path(__file__).parent.parent
TRAINING = """
import torch
from torch import nn
torch.manual_seed(0)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(1000):
    {clear}
    model(torch.randn(4, 3)).pow(2).mean().backward()
    optimizer.step()
raise SystemExit("--steps was to end this")
"""


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", **more}
    command = [sys.executable, "-m", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("clear", ["optimizer.zero_grad()", "pass"])
def test_the_pre_commit_hook_ends_after_its_steps_and_fails_on_findings(clear, tmp_path):
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text()
    (entry,) = re.findall(r"^ *entry: (.*)$", hook, re.MULTILINE)
    (tmp_path / "train.py").write_text(TRAINING.format(clear=clear))
    done = run(tmp_path, *shlex.split(entry), "train.py")
    assert done.returncode == (clear == "pass"), done.stderr
    assert ("SL201" in done.stdout) == (clear == "pass")


def test_the_howto_on_continuous_integration_runs_as_written(tmp_path):
    page = (ROOT / "docs/howto/ci.md").read_text()
    commands = re.findall(r"^ *run: (steplens run .*)$", page, re.MULTILINE)
    assert len(commands) == 2
    (tmp_path / "train.py").write_text(TRAINING.format(clear="pass"))
    done = [run(tmp_path, *shlex.split(command)) for command in commands]
    assert [each.returncode for each in done] == [1, 0]
    assert "::error title=steplens (SL201),file=train.py,line=10," in done[0].stdout
    results = json.loads((tmp_path / "steplens.sarif").read_text())["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["SL201"]


def test_library_frames_counts_installed_packages_as_the_users():
    import msgspec
    import torch

    package = compile("0", str(Path(msgspec.__file__).with_name("inner.py")), "exec")
    torch_s = compile("0", str(Path(torch.__file__).with_name("nn.py")), "exec")
    standard = compile("0", json.__file__, "exec")
    assert not Places().owns(package)
    assert Places(packages=True).owns(package)
    assert not Places(packages=True).owns(torch_s)
    assert not Places(packages=True).owns(standard)


def test_names_and_codes_of_rules_complete():
    def completed(begun: str) -> list[str]:
        return [item.value for item in completing.rules(None, None, begun)]

    assert completed("gradients-n") == ["gradients-never-cleared"]
    assert completed("sl20") == [rule.code for rule in RULES if rule.code.startswith("SL20")]
    assert completed("SL101,not-f") == ["SL101,not-finite"]
    assert len(completed("")) == len(RULES)


def test_the_shell_asks_and_is_answered_without_torch(tmp_path):
    asked = {"COMP_WORDS": "steplens run --fail-on w", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from steplens.cli import main; main()"],
        env={
            **os.environ,
            **asked,
            "PYTHONPATH": str(ROOT / "src"),
            "_STEPLENS_COMPLETE": "bash_complete",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "plain,warning\n"
    assert "torch" not in done.stderr


def test_a_budget_of_one_reads_values_at_every_step(tmp_path):
    (tmp_path / "train.py").write_text(TRAINING.format(clear="optimizer.zero_grad()"))
    settings = "--steps 400 --lines 0 --output-format json".split()
    looks = {}
    for budget in ("1", "0.000001"):
        told = run(tmp_path, "steplens", "run", *settings, "--budget", budget, "train.py")
        looks[budget] = json.loads(told.stdout)["account"]["looks"]
    assert looks["1"] == 400
    assert 10 <= looks["0.000001"] < 50  # the window's, and the free ones
