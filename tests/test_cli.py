"""The commands, their exit status and what they refuse; runs of programs are tested elsewhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import reports
from steplens import cli
from steplens.model import codec

COMMAND = [sys.executable, "-m", "steplens"]
PLAIN = {k: v for k, v in os.environ.items() if not k.startswith("STEPLENS_") and "COLOR" not in k}


def python(*args, cwd):
    command = [sys.executable, *args]
    return subprocess.run(
        command, cwd=cwd, env=PLAIN, capture_output=True, text=True, timeout=60, check=False
    )


def steplens(*args, cwd):
    return python("-m", "steplens", *args, cwd=cwd)


@pytest.fixture
def folder(tmp_path):
    """A working folder with one saved report, older than another."""
    saved = tmp_path / ".steplens"
    saved.mkdir()
    older, newer = reports.report(), reports.report(reports.never_cleared())
    (saved / "b-old.json").write_bytes(codec.encode(older))
    (saved / "a-new.json").write_bytes(codec.encode(newer))
    os.utime(saved / "b-old.json", (1, 1))
    return tmp_path


def test_show_shows_the_newest_report(folder):
    done = steplens("show", cwd=folder)
    assert done.returncode == 0
    assert "error[SL201 gradients-never-cleared]" in done.stdout
    assert "\x1b" not in done.stdout


def test_show_shows_a_named_report_in_a_named_format(folder):
    done = steplens("show", ".steplens/b-old.json", "--output-format", "concise", cwd=folder)
    assert done.stdout.startswith("no findings in 3 steps")
    again = json.loads(steplens("show", "--output-format", "json", cwd=folder).stdout)
    assert again["findings"][0]["code"] == "SL201"


def test_show_writes_to_a_file_when_asked(folder):
    done = steplens("show", "--output-format", "sarif", "--output-file", "out.sarif", cwd=folder)
    assert done.stdout == ""
    assert json.loads((folder / "out.sarif").read_text())["version"] == "2.1.0"


def test_show_writes_the_page_beside_the_report_and_prints_where(folder):
    done = steplens("show", "--output-format", "html", cwd=folder)
    assert done.stdout == ".steplens/a-new.html\n"
    assert (folder / ".steplens" / "a-new.html").read_text().startswith("<!doctype html>")
    named = steplens("show", "--output-format", "html", "--output-file", "p.html", cwd=folder)
    assert named.stdout == "p.html\n"
    shown = steplens("show", "--output-format", "html", "--output-file", "-", cwd=folder)
    assert shown.stdout == (folder / "p.html").read_text()


def test_show_open_opens_the_page(folder):
    browser = folder / "browser.sh"
    browser.write_text('#!/bin/sh\necho "$1" > opened.txt\n')
    browser.chmod(0o755)
    env = {**PLAIN, "BROWSER": f"{browser} %s"}
    command = [*COMMAND, "show", "--open"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)
    page = folder / ".steplens" / "a-new.html"
    assert (folder / "opened.txt").read_text() == page.as_uri() + "\n"
    assert done.stdout == ".steplens/a-new.html\n"


@pytest.mark.parametrize("other", [["--output-format", "json"], ["--why", "loss"]])
def test_show_open_shows_the_page_only(folder, other):
    done = steplens("show", "--open", *other, cwd=folder)
    assert done.returncode == 2
    assert "--open opens the html page" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "is not a steplens report"),
        ("not json", "is not a steplens report"),
        ('{"format": 99, "timeline": {}}', "this steplens reads format 1"),
        ('{"format": 1, "timeline": {"head": [{"kind": "nonsense"}]}}', "damaged"),
    ],
)
def test_a_foreign_or_damaged_report_is_refused_in_one_line(tmp_path, text, said):
    (tmp_path / "r.json").write_text(text)
    done = steplens("show", "r.json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("steplens: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["show"], "no report in `.steplens`; `steplens run SCRIPT` writes one"),
        (["show", "none.json"], "cannot read `none.json`"),
        (["show", "--output-format", "jsno"], "did you mean `json`?"),
        (["explain", "unused-supression"], "did you mean `unused-suppression`?"),
        (["run", "--select", "unused-supression", "x.py"], "did you mean `unused-suppression`?"),
        (["run", "--steps", "none", "x.py"], "--steps is 'none'; a whole number of 1 or more"),
        (["run", "--fail-on", "fatal", "x.py"], "accepted are error, warning, note"),
        (["lab", "step-skips-nun"], "did you mean `step-skips-none`?"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path, args, said):
    done = steplens(*args, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("steplens: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("args", [["run"], ["run", "--nonsense", "x.py"], ["dance"], []])
def test_wrong_usage_exits_with_2(tmp_path, args):
    assert steplens(*args, cwd=tmp_path).returncode == 2


def test_settings_of_the_project_hold_for_the_command(folder):
    (folder / "pyproject.toml").write_text('[tool.steplens]\noutput-format = "github"\n')
    assert steplens("show", cwd=folder).stdout.startswith("::error title=steplens (SL201)")


def test_a_reader_that_stops_early_ends_the_command_quietly(folder):
    many = reports.report(*[reports.never_cleared()] * 3000)
    (folder / "many.json").write_bytes(codec.encode(many))
    first = [*COMMAND, "show", "many.json", "--output-format", "full"]
    with subprocess.Popen(
        first, cwd=folder, env=PLAIN, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 0
    assert said == b""


def test_explain_prints_the_page_by_code_or_name():
    by_code, by_name = (
        CliRunner().invoke(cli.cli, ["explain", word]).output
        for word in ("SL001", "unused-suppression")
    )
    assert by_code == by_name
    assert by_code.startswith("SL001 unused-suppression (note)\n\nAn `ignore` comment")
    assert "## When it is fine" in by_code


def test_rules_lists_them_for_people_and_as_json():
    text = CliRunner().invoke(cli.cli, ["rules"]).output
    assert text.splitlines()[0] == "SL0 steplens itself"
    assert text.splitlines()[1].startswith("SL001  note     unused-suppression")
    assert max(map(len, text.splitlines())) <= 100
    entries = json.loads(CliRunner().invoke(cli.cli, ["rules", "--output-format", "json"]).output)
    assert entries[0]["code"] == "SL001"
    listed = [line for line in text.splitlines() if line[:2] == "SL" and line[3:5].isdigit()]
    assert [line[:5] for line in listed] == [entry["code"] for entry in entries]


LIGHT = [
    ["--help"],
    ["show"],
    ["show", "--output-format", "sarif"],
    ["explain", "SL001"],
    ["rules"],
    ["lab", "--help"],
]


@pytest.mark.parametrize("args", LIGHT, ids=" ".join)
def test_a_command_that_runs_no_program_imports_no_torch(folder, args):
    program = f"""if True:
        import sys
        from steplens import cli
        sys.argv = ["steplens", *{args!r}]
        try:
            cli.main()
        finally:
            heavy = sorted({{"torch", "IPython", "rich", "numpy"}} & set(sys.modules))
            print("HEAVY", heavy, file=sys.stderr)
    """
    done = python("-c", program, cwd=folder)
    assert done.stderr.strip() == "HEAVY []"


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    done = CliRunner().invoke(cli.cli, ["--version"])
    assert done.output == f"steplens {version('steplens')}\n"


def test_no_file_names_this_machine_or_a_registry():
    root = Path(__file__).parent.parent
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True
    ).stdout.split()
    words = ["/wo" + "rk/", "/root" + "/", "index-" + "url", "find-" + "links"]
    for name in tracked:
        path = root / name
        if path.suffix in (".py", ".toml", ".txt", ".md", ".ipynb", "") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not [word for word in words if word in text], name


LOOP = """
import sys, torch
model = torch.nn.Linear(2, 1)
opt = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    model(torch.ones(1, 2)).sum().backward()
    opt.step()
print(sys.argv)
sys.exit(int(sys.argv[-1]))
"""


@pytest.mark.parametrize(
    ("options", "own", "status"),
    [([], 0, 0), ([], 3, 3), (["--fail-on", "error"], 0, 1), (["--fail-on=error"], 3, 3),
     (["--fail-on", "warning", "--ignore", "SL2"], 0, 0)],
)  # fmt: skip
def test_the_status_of_a_run_is_the_programs_and_1_for_findings_when_asked(
    tmp_path, options, own, status
):
    (tmp_path / "loop.py").write_text(LOOP)
    done = steplens("run", *options, "loop.py", "--help", "-q", "--steps", str(own), cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert f"['loop.py', '--help', '-q', '--steps', '{own}']" in done.stdout
    assert len(list((tmp_path / ".steplens").glob("*.json"))) == 1


def test_a_quiet_run_without_findings_prints_what_the_program_prints(tmp_path):
    (tmp_path / "hello.py").write_text("print('hello')\n")
    assert steplens("run", "-q", "hello.py", cwd=tmp_path).stdout == "hello\n"
