"""Where no optimizer steps: the window rests, and forwards are counted all the same."""

import pytest
import torch
from torch import nn

import steplens
from steplens import views
from steplens.model.event import Line, Repeat
from steplens.record import lull


def _ask(model: nn.Module, times: int) -> None:
    for _ in range(times):
        with torch.no_grad():
            model(torch.ones(1, 4))


def test_lines_are_not_followed_while_a_program_only_asks_its_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lull, "SECONDS", 0.0)
    monkeypatch.setattr(lull, "SHARE", 0.0)
    model = nn.Linear(4, 1)
    with steplens.watch(lines=3) as lens:
        _ask(model, 100)
        with torch.no_grad():
            model.weight.add_(1.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(6):
            optimizer.zero_grad()
            model(torch.ones(1, 4)).sum().backward()
            optimizer.step()
    window, events = lens.report.window, lens.report.timeline.events
    assert (window.rested, window.ended, window.kept) == (True, "steps", 3)
    lines = [event for event in events if isinstance(event, Line)]
    unknown = [event for event in lines if event.site is None]
    assert len(unknown) == 1  # what changed meanwhile is told, of no line
    stayed = [change.part for change in unknown[0].changes if change.after is not None]
    assert stayed == ["parameter", "grad-mode"]
    before = [event for event in lines if event.index < unknown[0].index]
    assert len(before) < 2 * (lull.FORWARDS + 1)
    after = [change.part for event in lines if event.step == 1 for change in event.changes]
    assert {"parameter", "gradient"} <= set(after)
    assert "lines were not followed for a time" in views.show(lens.report, "timeline")
    assert views.show(lens.report, "html")


def test_lines_of_a_rollout_between_two_steps_are_not_followed_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lull, "SECONDS", 0.0)
    monkeypatch.setattr(lull, "SHARE", 0.0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with steplens.watch(lines=3) as lens:
        for _ in range(4):
            _ask(model, 60)
            optimizer.zero_grad()
            model(torch.ones(1, 4)).sum().backward()
            _ask(model, 60)  # a gradient waits for its step: each line is followed
            optimizer.step()
    window, events = lens.report.window, lens.report.timeline.events
    assert (window.rested, window.ended, window.kept) == (True, "steps", 3)
    lines = [event for event in events if isinstance(event, Line)]
    switched = sum(c.part == "grad-mode" for event in lines for c in event.changes)
    assert 3 * 2 * 60 < switched < 3 * 2 * (60 + lull.FORWARDS + 2)


def test_a_window_in_which_nothing_is_ever_trained_says_why_it_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lull, "SECONDS", 0.0)
    monkeypatch.setattr(lull, "SHARE", 0.0)
    model = nn.Linear(4, 1)
    with steplens.watch() as lens:
        _ask(model, 40)
    assert (lens.report.window.rested, lens.report.window.ended) == (True, "rest")
    assert "while nothing trains" in views.show(lens.report, "timeline")


def test_forwards_before_the_first_step_are_counted() -> None:
    torch.manual_seed(0)  # what is drawn is compared at a backward: it stands in nobody's way
    model = nn.Linear(4, 1)
    with steplens.watch(lines=0) as lens:
        _ask(model, 300)
    counts = lens.report.timeline.counts
    repeats = [event for event in lens.report.timeline.events if isinstance(event, Repeat)]
    assert counts["forward"] == 300
    assert sum(event.times for event in repeats) > 200


def test_forwards_of_a_loop_over_time_are_counted_where_the_step_is_written_by_hand() -> None:
    cell, head = nn.RNNCell(3, 4), nn.Linear(4, 1)
    with steplens.watch(lines=0) as lens:
        for _ in range(60):
            cell.zero_grad()
            state = torch.zeros(1, 4)
            for _ in range(8):
                state = cell(torch.ones(1, 3), state)
            head(state).sum().backward()
            with torch.no_grad():
                for parameter in cell.parameters():
                    parameter -= 0.01 * parameter.grad
    report = lens.report
    counts = report.timeline.counts
    counted = sum(e.times for e in report.timeline.events if isinstance(e, Repeat))
    assert (report.steps, counts["forward"], counts["backward"]) == (0, 60 * 9, 60)
    assert counted > 60 * 2
