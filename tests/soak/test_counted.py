"""The counting of rounds changes nothing that is found: each program runs with it and without."""

import contextlib
import io
import math
import os
import random
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

import repeating
from repeating import both, misnamed, said, stepping
from steplens.record import steady
from watching import PROGRAMS, functions, load

IDIOMS = PROGRAMS.parent / "idioms"
ALONE = {"data_parallel_world_of_one", "hogwild", "weights"}  # processes, threads, no program


def output(path: Path) -> None:
    """Run an idiom as the main program."""
    random.seed(0)
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_path(str(path), run_name="__main__")


EVERY = 1 if os.environ.get("STEPLENS_SOAK") else 13  # of so many programs one is run
# while steps are counted, one parameter's place is looked at, and live graphs are not counted;
# memory that nothing was written to holds something else in each run; leaves made anew get no
# number while they are counted, so that later tensors have others
PLACES_ALIKE = {
    "bad_data_assigned", "bad_tickets_rewound", "bad_tickets_rewound_under_adagrad",
    "bad_running_sum_begun_anew_each_epoch", "bad_actions_kept_with_their_graphs",
    "bad_two_means_of_losses", "bad_state_handed_on_with_its_graph", "bad_empty",
    "bad_sizes_given_to_the_old_constructor",
    "learned_optimizer",
}  # fmt: skip
APART = {"workers_draw_alike"}  # what worker processes report comes when it comes

PLACES = [
    (path, name)
    for path in sorted(PROGRAMS.glob("*.py"))
    if path.stem not in APART
    for name in functions(path)
] + [(path, "") for path in sorted(IDIOMS.glob("*.py")) if path.stem not in ALONE]


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("path", "name"), PLACES[::EVERY])
def test_found_alike(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings with their counts and steps, the account and the counts of calls are equal."""
    if name:
        counted, full = both(getattr(load(path), name), monkeypatch)
    else:
        monkeypatch.syspath_prepend(str(IDIOMS))
        counted, full = both(lambda: output(path), monkeypatch)
    if (name or path.stem) in PLACES_ALIKE:
        places = [[(one.code, one.at) for one in report.findings] for report in (counted, full)]
        assert places[0] == places[1]
        assert places[0] or not name
    else:
        assert said(counted) == said(full)
    assert misnamed(counted) == []


def regular() -> None:
    """A loop with all that a round may hold: batches, modes, norms, dropout, clipping, a schedule,
    two optimizers; from some step on the loss is not finite."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1))
    head = nn.Linear(1, 1)
    optimizers = [torch.optim.Adam(part.parameters(), lr=0.01) for part in (model, head)]
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizers[0], 0.99)
    for number in range(200):
        for optimizer in optimizers:
            optimizer.zero_grad()
        x = torch.randn(6, 4)
        loss = head(model(x)).square().mean()
        loss = loss * (math.nan if number == 173 else 1)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        schedule.step()


@pytest.mark.usefixtures("narrow")
def test_rounds_compared_in_brief_are_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes again is counted exactly where most rounds are compared in brief, and a loss that
    is not finite is told at its step."""
    monkeypatch.setattr(steady, "EXACT", 0)
    monkeypatch.setattr(steady, "LULL", 0.0)  # on a fast machine too
    monkeypatch.setattr(repeating, "LOOK", 61)
    brief = stepping(monkeypatch, lambda counting: counting.brief)
    counted, full = both(regular, monkeypatch)
    assert brief[True] > 100
    assert [finding.code for finding in counted.findings] == ["SL601"]
    assert said(counted) == said(full)


def long_loop() -> None:
    """Short rounds, many; one loss is not finite, and its gradients are thrown away."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for number in range(1500):
        optimizer.zero_grad()
        loss = model(torch.randn(6, 4)).square().mean()
        if number == 1203:
            loss = loss * math.nan
        loss.backward()
        if number == 1203:
            optimizer.zero_grad()
        optimizer.step()


def test_short_rounds_follow_in_brief_with_the_clock_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steady, "EXACT", 16)
    monkeypatch.setattr(steady, "LULL", 60.0)  # on a slow machine too
    asked = stepping(monkeypatch, lambda counting: counting.brief)
    counted, full = both(long_loop, monkeypatch)
    assert asked.total() < 500  # the others had no need to
    assert counted.timeline.counts["step"] == counted.steps == 1500
    counts = [
        [report.timeline.counts[kind] for kind in ("clear", "forward", "backward", "step")]
        for report in (counted, full)
    ]
    assert counts[0] == counts[1] == [1501, 1500, 1500, 1500]
    assert [(each.code, each.message) for each in counted.findings] == [
        (each.code, each.message) for each in full.findings
    ]
    assert "step 1204" in counted.findings[0].message
