"""The trail of the window: which lines ran, how often, and where random numbers were drawn."""

import linecache
import random

import numpy as np
import torch
from torch import nn

import steplens
from steplens.check.reporting import Report
from steplens.model.site import Site
from steplens.model.trail import Passage
from steplens.record.seeds import NumpyState
from steplens.record.trail import LONGEST, QUIET, Tracker

HERE = __file__.rpartition("/")[2]


def line(offset: int) -> str:
    return f"{FIRST + offset}"


def watched() -> Report:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.eval()
    with steplens.watch(model, optimizer, search=False) as lens:
        for _ in range(3):
            x = torch.randn(4, 2)
            loss = model(x).sum()
            loss.backward()
        optimizer.step()
        random.random()
        optimizer.step()
    return lens.report


FIRST = watched.__code__.co_firstlineno


def runs(report: Report) -> dict[str, int]:
    trail = report.trail
    return {place.rpartition(":")[2]: n for place, n in zip(trail.lines, trail.runs, strict=True)}


def test_every_line_has_the_number_of_times_it_ran() -> None:
    found = runs(watched())
    assert [found[line(each)] for each in (6, 7, 8, 9, 10)] == [3, 3, 3, 1, 1]


def test_it_says_between_which_events_random_numbers_were_drawn() -> None:
    trail = watched().trail
    drew = [(trail.lines[p.line].rpartition(":")[2], p.drew) for p in trail.path if p.drew]
    assert drew == [(line(7), ("torch",))] * 3 + [(line(11), ("random",))]


def test_the_path_says_which_line_came_after_an_event() -> None:
    report = watched()
    step = next(e for e in report.timeline.events if type(e).__name__ == "Step")
    path = [(p.event, report.trail.lines[p.line]) for p in report.trail.path]
    after = next(i for i, (event, _) in enumerate(path) if event >= step.index)
    assert path[after][1].endswith(":" + line(9))
    assert path[after + 1][1].endswith(":" + line(10))


def test_what_stood_before_the_first_line_is_kept() -> None:
    trail = watched().trail
    start = {(c.part, c.whose.number): c.after for c in trail.start}
    assert start["mode", 0] == "eval"
    assert start["trainable", 0] is True
    assert {c.subject for c in trail.start if c.part == "parameter"} == {"weight", "bias"}


def test_a_loop_of_many_lines_is_counted_and_takes_little_room() -> None:
    tracker, site = Tracker(), Site("train.py", FIRST)
    for run in range(1, 5_001):
        tracker.passed(watched.__code__, FIRST, run, 7 if run > 3 else 6, site)
    assert tracker.trail.runs == [5_000]
    assert len(tracker.trail.path) == 3 + 1 + QUIET
    assert [passage.event for passage in tracker.trail.path[:4]] == [6, 6, 6, 7]


def test_a_path_of_very_many_events_is_cut_and_says_so() -> None:
    tracker, site = Tracker(), Site("train.py", FIRST)
    tracker.trail.path += [Passage(0, -1)] * LONGEST
    tracker.passed(watched.__code__, FIRST, 1, 8, site)
    assert tracker.trail.cut
    assert len(tracker.trail.path) == LONGEST


def test_a_second_model_does_not_make_the_first_ones_tensors_new() -> None:
    with steplens.watch(search=False) as lens:
        one = nn.Linear(2, 1)
        other = nn.Linear(3, 1)
        other.weight.data.fill_(one.weight.numel())
    lines = [e for e in lens.report.timeline.events if type(e).__name__ == "Line"]
    subjects = [[c.subject for c in e.changes] for e in lines]
    assert subjects == [["weight", "bias"], ["other.weight", "other.bias"], ["other.weight"]]
    assert {c.whose.number for c in lines[1].changes} == {2, 3}


def test_a_large_tensor_has_a_histogram_of_a_sample() -> None:
    from steplens.record.digest import digest

    found = digest(torch.linspace(-1, 1, 100))
    assert (found.low, found.high) == (-1.0, 1.0)
    assert sum(found.bars) == 100
    assert max(found.bars) - min(found.bars) <= 1
    large = digest(torch.zeros(1_000_000))
    assert large.bars
    assert sum(large.bars) < 10_000
    assert digest(torch.full((50,), float("nan"))).bars == ()


def test_source_that_is_in_no_file_is_shown_as_linecache_has_it() -> None:
    name = "/nowhere/ipykernel_1/42.py"
    code = "model = nn.Linear(2, 1)\nmodel.weight.data.zero_()\n"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    with steplens.watch(search=False) as lens:
        exec(compile(code, name, "exec"), {"nn": nn})
    assert lens.report.sources[name] == code


def test_each_draw_of_numpys_is_seen_also_of_a_number_it_held_back() -> None:
    read = NumpyState()
    before = np.random.get_state()
    try:
        np.random.seed(3)
        states = [read(), read()]
        for draw in (np.random.randn, np.random.randn, np.random.rand, np.random.randn):
            draw()
            states += [read(), read()]
        np.random.seed(3)
        states += [read(), read()]
    finally:
        np.random.set_state(before)
    assert states[::2] == states[1::2]
    assert len(set(states)) == 5
    assert states[0] == states[-1]
