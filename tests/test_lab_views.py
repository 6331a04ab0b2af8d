"""What `steplens lab` prints, its exit status, its JSON, its notebook and its pages."""

import importlib
import json
import sys
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbclient import NotebookClient

from steplens import cli
from steplens.lab import command, decide, recorded
from steplens.lab.base import Verdict
from steplens.lab.claims import BY_NAME, CLAIMS
from steplens.lab.running import Outcome
from steplens.prose import cells
from test_lab import CHINESE

ROOT = Path(__file__).parent.parent


def lab(*args, **environ):
    environ = {"LC_ALL": "C.UTF-8", "COLUMNS": "100", "NO_COLOR": "1", **environ}
    return CliRunner(env=environ).invoke(cli.cli, ["lab", *args], standalone_mode=False)


def status(done):
    """What `main` would leave with."""
    return done.return_value if done.exception is None else done.exception.exit_code


@pytest.mark.parametrize("columns", ["80", "140"])
def test_a_group_is_listed_one_line_a_claim_with_its_number(columns):
    done = lab("modes", COLUMNS=columns)
    assert status(done) == 0
    title, *rows = done.output.split("\n\n")[0].splitlines()
    assert title == "modes"
    assert [row.split()[-1] for row in rows] != [""]
    assert [name in row for name, row in zip(recorded.groups()["modes"], rows, strict=True)]
    assert max(map(len, rows)) <= int(columns)
    assert "294" in rows[0]  # its number
    assert "13 claims on torch" in done.output
    assert "all as recorded for torch" in done.output
    assert "not tried: several GPUs" in done.output


def test_a_story_has_the_experiment_its_lines_the_numbers_and_the_truth():
    done = lab("backward-under-no-grad-raises")
    assert status(done) == 0
    for text in (
        "`loss.backward()` inside `with torch.no_grad()` raises an error.",
        "author's note 7, word for word",
        "   4      inside = raised(F.mse_loss(model(X), Y).backward)",
        "        mlp.weight.grad  None -> [[0, 4]]",
        "inside = RuntimeError: element 0 of tensors does not require grad",
        '`outside.startswith("RuntimeError")`: no (where it is not)',
        "holds only if the loss was computed under `no_grad` too",
        "what is true  The graph is recorded, or not, when the loss is computed.",
    ):
        assert text in done.output
    assert max(map(len, done.output.splitlines())) <= 100


def test_a_story_names_the_rules_that_rest_on_it():
    assert "SL304 stale-optimizer-state" in lab("moments-outlive-values").output


@pytest.mark.parametrize("how", [{"LC_ALL": "zh_CN.UTF-8"}, {"STEPLENS_LANG": "zh"}])
def test_the_language_of_the_locale_is_spoken(how):
    told = lab("step-clears-the-gradients", **how).output
    assert "作者的笔记 8，原文" in told
    assert "不成立" in told
    assert "does not hold" not in told


def test_all_is_said_in_chinese():
    listed = lab("schedulers", "--lang", "zh", COLUMNS="140").output.splitlines()
    assert all(CHINESE.search(line) for line in listed if line)
    assert max(map(cells, listed)) <= 140
    told = lab("a-frozen-part-is-cleared", "--lang", "zh").output
    labels = [line.split()[0] for line in told.splitlines() if line and line[0] not in " `"]
    assert [label for label in labels if label in ("测得", "判据", "结论", "实际情况")] == [
        "测得", "判据", "结论", "实际情况",
    ]  # fmt: skip
    assert "有条件成立：优化器仍然持有冻结的部分" in told


def test_the_json_holds_all_that_is_known():
    done = lab("losses", "--output-format", "json")
    assert status(done) == 0
    found = json.loads(done.output)
    assert found["format"] == 1
    assert found["as_recorded"] is True
    assert [each["name"] for each in found["claims"]] == list(recorded.groups()["losses"])
    ignored = next(e for e in found["claims"] if e["name"] == "an-ignored-batch-costs-nothing")
    assert ignored["measured"]["loss"] == "nan"
    assert set(ignored) == {
        "name", "group", "title", "sentence", "note", "experiment", "ranks", "measured", "number",
        "decided_by", "verdict", "only_if", "truth", "recorded", "as_recorded", "fault", "seconds",
        "rules",
    }  # fmt: skip
    told = json.loads(lab("step-skips-none", "--output-format", "json").output)["claims"][0]
    assert told["rules"] == ["SL203"]
    assert told["timeline"]["counts"]["step"] == 1


def test_a_verdict_that_is_not_the_recorded_one_is_news_and_exits_with_1(monkeypatch):
    other = recorded.Record("2.4", "holds only if", own=True)
    monkeypatch.setattr(recorded, "expected", lambda name, torch: other)
    done = lab("step-skips-none")
    assert status(done) == 1
    assert "news: recorded for torch 2.4 is `holds only if`" in done.output
    done = lab("graphs")
    assert status(done) == 1
    assert "4 not as recorded: a-running-total-keeps-every-graph" in done.output
    assert status(lab("graphs", "--output-format", "json")) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["step-skips-nun"], "no claim or group `step-skips-nun`; did you mean `step-skips-none`?"),
        (["--lang", "fr"], "accepted are en, zh"),
        (["--output-format", "html"], "--output-format is 'html'; accepted are full, json"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(args, said):
    done = lab(*args)
    assert status(done) == 2
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


def test_claims_and_groups_are_completed():
    offered = cli._complete_claims(None, None, "no-grad-n")
    assert offered == ["no-grad-no-graph"]
    assert "modes" in cli._complete_claims(None, None, "mo")


def test_an_output_file_is_written(tmp_path):
    done = lab("in-place", "--output-file", str(tmp_path / "lab.txt"))
    assert (status(done), done.output) == (0, "")
    assert "inplace-write-breaks-backward" in (tmp_path / "lab.txt").read_text()


def test_a_changed_experiment_is_decided_by_what_it_measures():
    def step_skips_none():
        return {"before": 1, "after": 2, "state": 0}

    told = decide(step_skips_none)
    assert isinstance(told[0], Outcome)
    assert told[0].verdict is Verdict.NOT
    assert "weight 1 -> 2 by a step" in repr(told)


def _pages():
    sys.path.insert(0, str(ROOT / "docs"))  # as Python does for a script: it imports its neighbours
    try:
        return importlib.import_module("make_lab")
    finally:
        sys.path.remove(str(ROOT / "docs"))


def test_the_pages_and_the_notebook_are_those_of_the_claims_on_two_processes_too(capsys):
    found = {each.claim.name: each for each in command.outcomes([c.name for c in CLAIMS])}
    for each in CLAIMS:
        if each.ranks:
            outcome = found[each.name]
            assert not outcome.fault
            assert outcome.verdict == outcome.expected.verdict
            assert all(len(values) == each.ranks for values in outcome.measured.values())
    pages = _pages()
    stale = [path for path, text in pages.made(found).items() if path.read_text() != text]
    there = {path for folder in pages.FOLDERS.values() for path in folder.glob("*.md")}
    assert not stale, "run `python docs/make_lab.py`"
    assert there < set(pages.made(found))


def test_the_notebook_runs_from_top_to_bottom():
    book = nbformat.read(ROOT / "examples" / "lab.ipynb", as_version=4)
    nbformat.validate(book)
    NotebookClient(book, timeout=300, kernel_name="python3").execute()
    ran = [cell for cell in book.cells if "lab.decide(" in cell.source]
    shown = "".join(cell.outputs[-1]["data"]["text/plain"] for cell in ran)
    assert shown.count("as recorded for torch") == len(CLAIMS)
    assert set(BY_NAME) == {name for cell in book.cells for name in BY_NAME if name in cell.source}


def test_the_command_starts_without_torch():
    assert "torch" not in recorded.__dict__
    program = (
        "import sys; from steplens import cli; from steplens.lab import recorded;"
        "recorded.chosen(('modes',)); sys.exit('torch' in sys.modules)"
    )
    import subprocess

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
