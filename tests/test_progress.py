"""The progress line: drawn on a terminal, seldom, and gone at the end."""

import io
import re

import pytest

from steplens.check.progress import Progress
from steplens.model.finding import Finding, Severity
from steplens.model.site import Site


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def words(self) -> str:
        return re.sub(r"\x1b(\[[0-9]*[A-Za-z]|[78])", "|", self.getvalue())


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delitem(__import__("sys").modules, "tqdm", raising=False)
    return Terminal()


def finding() -> Finding:
    site = Site("train.py", 19)
    return Finding(
        "SL201", "gradients-never-cleared", Severity.ERROR, "a step used old gradients", site
    )


def test_it_says_steps_rate_and_findings(terminal, clock):
    progress = Progress(stream=terminal, clock=clock)
    progress.step(1, 0)
    clock.now = 2.0
    progress.step(501, 1)
    assert "step 501  250/s  1 finding" in terminal.words()


def test_the_rate_is_that_of_the_last_seconds(terminal, clock):
    progress = Progress(stream=terminal, clock=clock)
    for step in range(1, 200):
        clock.now += 1.0 if step < 50 else 0.25
        progress.step(step, 0)
    assert terminal.words().rstrip("|").endswith("step 199  4/s  no findings")


def test_it_is_drawn_at_most_four_times_a_second(terminal, clock):
    progress = Progress(stream=terminal, clock=clock)
    for step in range(1, 1001):
        clock.now = step / 100
        progress.step(step, 0)
    assert 30 <= terminal.words().count("step ") <= 40


def test_a_run_of_a_moment_shows_nothing(terminal, clock):
    progress = Progress(stream=terminal, clock=clock)
    clock.now = 0.4
    progress.step(2, 0)
    progress.clear()
    assert terminal.getvalue() == ""


def test_it_puts_the_cursor_back_and_clears_what_it_drew(terminal, clock):
    progress = Progress(stream=terminal, clock=clock)
    clock.now = 1.0
    progress.step(3, 0)
    drawn = terminal.getvalue()
    progress.clear()
    assert drawn.startswith("\x1b7")
    assert drawn.endswith("\x1b8")
    assert terminal.getvalue()[len(drawn) :].endswith("\x1b[K\x1b8")


def test_a_finding_is_one_line_where_it_is_found(terminal, clock):
    Progress(stream=terminal, clock=clock).found(finding())
    expected = "train.py:19: error[SL201 gradients-never-cleared]: a step used old gradients\n"
    assert terminal.words().lstrip("\r|") == expected


def test_each_finding_is_shown_once(terminal, clock):
    progress = Progress(stream=terminal, clock=clock)
    for step in range(1, 4):
        progress.hear(step, [finding()])
    assert terminal.words().count("SL201") == 1


def test_a_pipe_a_quiet_run_and_a_dumb_terminal_get_nothing(terminal, clock, monkeypatch):
    pipe = io.StringIO()
    dumb = Terminal()
    shown = [Progress(stream=pipe, clock=clock), Progress(quiet=True, stream=terminal, clock=clock)]
    monkeypatch.setenv("TERM", "dumb")
    shown.append(Progress(stream=dumb, clock=clock))
    clock.now = 5.0
    for progress in shown:
        progress.step(10, 2)
        progress.found(finding())
        progress.clear()
    assert [pipe.getvalue(), terminal.getvalue(), dumb.getvalue()] == ["", "", ""]


def test_a_program_with_its_own_bar_keeps_the_terminal(terminal, clock, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tqdm", object())
    progress = Progress(stream=terminal, clock=clock)
    clock.now = 5.0
    progress.step(10, 0)
    assert terminal.getvalue() == ""


def test_a_closed_terminal_is_no_fault(terminal, clock):
    progress = Progress(stream=terminal, clock=clock)
    terminal.close()
    clock.now = 5.0
    progress.step(10, 0)
    progress.clear()
