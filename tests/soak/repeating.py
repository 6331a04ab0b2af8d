"""The counting of rounds changes nothing that is found: a program's report with it and without."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import numpy
import pytest

import steplens
from steplens.check.reporting import Report
from steplens.model.event import Backward, Repeat, Step
from steplens.record import learner, steady
from watching import watched

FIRST = 2  # the step from which rounds may be counted
LOOK = 7  # steps from look to look
READINGS = ("values", "cut")  # a look waits for the end of a round of several steps


def both(function: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> tuple[Report, Report]:
    """Its report with rounds counted, and without."""
    begin = learner.Learner.__init__

    def off(self: learner.Learner, *given: Any) -> None:
        begin(self, *given)
        self.enabled = False

    with_it = without_lines(function)
    with monkeypatch.context() as patch:
        patch.setattr(learner.Learner, "__init__", off)
        without = without_lines(function)
    return with_it, without


def without_lines(function: Callable[[], object]) -> Report:
    """Its report, watched without line-by-line detail."""
    random.seed(0)
    numpy.random.seed(0)
    whole = steplens.watch
    steplens.watch = lambda **options: whole(lines=0, **options)  # type: ignore[assignment]
    try:
        return watched(function)
    finally:
        steplens.watch = whole


def said(report: Report) -> object:
    """What a report says, but for readings at looks, which fall on other steps, and the one of many
    events that a finding shows."""
    counts = {kind: n for kind, n in report.timeline.counts.items() if kind not in READINGS}
    account = msgspec.to_builtins(report.account)
    for read_at_looks in ("looks", "sizes", "sized_at"):
        del account[read_at_looks]
    roles = {number: entry.role for number, entry in report.roster.tensors.items()}
    for loss in account["losses"]:  # of leaves made anew each time, any one may be shown
        loss["leaves"] = [number for number in loss["leaves"] if roles[number] == "parameter"]
    findings = [msgspec.structs.replace(each, event=-1) for each in report.findings]
    return findings, report.suppressed, report.steps, counts, account


def misnamed(report: Report) -> list[str]:
    """Events told whose gradients come from what is no backward, or were used by what is no
    step."""
    told = [event for event in report.timeline.events if not isinstance(event, Repeat)]
    kinds = {event.index: type(event) for event in told}
    wrong = []
    for event in told:
        for share in (*getattr(event, "uses", ()), *getattr(event, "lost", ())):
            for held in share.holds:
                named = (held.backward, Backward), *((index, Step) for index in held.used_by)
                wrong += [f"{event}: {i}" for i, kind in named if kinds.get(i, kind) is not kind]
    return wrong


def stepping(monkeypatch: pytest.MonkeyPatch, ask: Callable[[steady.Steady], int]) -> Counter[int]:
    """What is true of the counting at each step counted."""
    found = Counter[int]()
    roused = steady.Steady.roused

    def noted(self: steady.Steady, *given: Any) -> None:
        roused(self, *given)
        found[ask(self)] += 1

    monkeypatch.setattr(steady.Steady, "roused", noted)
    return found


def ending(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How many rounds had been counted whenever the counting ended, by the steps in one."""
    rounds = Counter[int]()
    leave = steady.Steady._leave

    def noted(self: steady.Steady) -> None:
        rounds[self.steps] += self.rounds
        leave(self)

    monkeypatch.setattr(steady.Steady, "_leave", noted)
    return rounds
