"""The counting of rounds changes nothing that is found: each program runs with it and without."""

import contextlib
import io
import math
import os
import random
import runpy
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import steplens
from steplens.check.reporting import Report
from steplens.model.event import Backward, Event, Forward, Repeat, Step, kind
from steplens.record import learner, steady
from steplens.record.cadence import Cadence
from watching import PROGRAMS, functions, load, watched

IDIOMS = PROGRAMS.parent / "idioms"
FIRST = 2  # the step from which rounds may be counted
LOOK = 7  # steps from look to look
READINGS = ("values", "cut")  # a look waits for the end of a round of several steps


@pytest.fixture(params=["told at once", "repeats"])
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of two steps, and a look at every seventh, whatever the clock says. What is counted
    is told after each round, or, as Repeats, when a look is due or the rounds end."""

    def made(self: Cadence, *given: Any, **words: Any) -> None:
        begin(self, *given, **words)
        self.window = FIRST

    def advance(self: Cadence) -> None:
        self.step += 1
        self.cost = 0.0
        self.looking = self.flagging = self.step < FIRST or self.step % LOOK == 0
        self.looks += self.looking

    def sleep(self: steady.Steady) -> None:
        self.wake = 0.0
        if request.param == "repeats":
            done = self.recorder.step
            self.wake, self.wake_at = math.inf, done + LOOK - done % LOOK
            self._rest()

    begin = Cadence.__init__
    monkeypatch.setattr(Cadence, "__init__", made)
    monkeypatch.setattr(Cadence, "advance", advance)
    monkeypatch.setattr(steady.Steady, "_sleep", sleep)


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
    "bad_data_assigned", "bad_tickets_rewound", "bad_running_sum_begun_anew_each_epoch",
    "bad_empty", "bad_sizes_given_to_the_old_constructor", "learned_optimizer",
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


def critic() -> None:
    """Five steps of a critic, then one of its generator, whose backward gives the critic gradients
    too."""
    critic, generator = nn.Linear(4, 1), nn.Linear(2, 4)
    first = torch.optim.RMSprop(critic.parameters(), lr=1e-3)
    second = torch.optim.RMSprop(generator.parameters(), lr=1e-3)
    for number in range(240):
        if number % 6 < 5:
            first.zero_grad()
            with torch.no_grad():
                made = generator(torch.randn(8, 2))
            (critic(made).square().mean() - critic(torch.randn(8, 4)).mean()).backward()
            first.step()
        else:
            second.zero_grad()
            critic(generator(torch.randn(8, 2))).mean().neg().backward()
            second.step()


def evaluated() -> None:
    """An evaluation at every fifth step."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, seen = torch.randn(6, 4), 0.0
    for number in range(240):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        if number % 5 == 0:
            model.eval()
            with torch.no_grad():
                seen += model(x).mean().item()
            model.train()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("program", [critic, evaluated])
def test_a_round_of_several_steps_is_counted(
    program: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though some of its steps are alike, and counted as rounds of one until the next one comes."""
    monkeypatch.setitem(globals(), "LOOK", 61)
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(program, monkeypatch)
    assert steps[6 if program is critic else 5] > 80
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


def cleared(order: str) -> None:
    """A plain loop with its calls in this order; the loss is made of several operations."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x = torch.randn(6, 4)
    for _ in range(60):
        made = x
        for call in order.split():
            if call == "clear":
                optimizer.zero_grad()
            elif call == "forward":
                made = model(x).squeeze(1)
            elif call == "loss":
                made = (made - x[:, 0]).square().mean() + made.abs().mean()
            elif call == "backward":
                made.backward()
            elif call == "clip":
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            else:
                optimizer.step()


ORDERS = (
    "clear forward loss backward step",
    "forward clear loss backward step",
    "forward loss clear backward clip step",
    "forward loss backward clip step clear",
    "forward loss clip clear backward step",
)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("order", ORDERS)
def test_a_loop_is_counted_whatever_the_order_of_its_calls(
    order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "LOOK", 61)
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(lambda: cleared(order), monkeypatch)
    assert steps.total() > 40
    assert said(counted) == said(full)


def shared(retain: bool, second: bool) -> None:
    """A trunk that feeds two heads, its graph retained or not, and gone through again or not."""
    trunk, heads = nn.Linear(4, 8), nn.ModuleList([nn.Linear(8, 1), nn.Linear(8, 1)])
    optimizer = torch.optim.SGD([*trunk.parameters(), *heads.parameters()], lr=0.01)
    for _ in range(60):
        made = trunk(torch.randn(8, 4)).relu()
        one, other = (head(made).square().mean() for head in heads)
        optimizer.zero_grad()
        (one if second else one + other).backward(retain_graph=retain)
        if second:
            other.backward()
        optimizer.step()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("retain", "second", "codes"),
    [(True, True, []), (True, False, ["SL403"]), (False, False, [])],
)
def test_rounds_of_forwards_that_feed_each_other_are_counted(
    retain: bool, second: bool, codes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(lambda: shared(retain, second), monkeypatch)
    assert steps.total() > 30
    assert said(counted) == said(full)
    assert [finding.code for finding in full.findings] == codes


def probed(create: bool) -> None:
    """Gradients asked for beside the backward: of a penalty on a slope, or to look at."""
    first, last = nn.Linear(2, 8), nn.Sequential(nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam([*first.parameters(), *last.parameters()])
    points = torch.randn(8, 2)
    for _ in range(60):
        optimizer.zero_grad()
        hidden = first(points)
        made = last(hidden)
        wanted = hidden if create else list(last.parameters())
        slope = torch.autograd.grad(made.sum(), wanted, None, True, create)[0]
        edge = torch.autograd.graph.get_gradient_edge(hidden)
        torch.autograd.grad(made.sum(), [edge], retain_graph=True)
        loss = made.square().mean() + (slope.square().mean() if create else 0.0)
        loss.backward()
        optimizer.step()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("create", [True, False])
def test_rounds_that_ask_for_gradients_are_counted(
    create: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(lambda: probed(create), monkeypatch)
    assert steps.total() > 30
    assert counted.timeline.counts["grad"] == full.timeline.counts["grad"] == 120
    assert said(counted) == said(full)


def chased() -> None:
    """A network that learns from a copy of itself, which is loaded anew every 15 steps."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    target = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    target.load_state_dict(model.state_dict())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(150):
        state, after = torch.randn(8, 4), torch.randn(8, 4)
        with torch.no_grad():
            aim = target(after).max(1).values
        loss = (model(state)[:, 0] - aim).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 15 == 14:
            target.load_state_dict(model.state_dict())


@pytest.mark.usefixtures("narrow")
def test_a_loop_is_counted_between_calls_that_end_the_counting_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(globals(), "LOOK", 61)
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(chased, monkeypatch)
    assert steps.total() > 60
    assert said(counted) == said(full)


def played() -> None:
    """Moves of a policy without gradient recording, 60 before each step; then an evaluation."""
    policy, value = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2)), nn.Linear(4, 1)
    optimizer = torch.optim.Adam([*policy.parameters(), *value.parameters()], lr=0.01)
    for _ in range(16):
        state, states = torch.randn(4), []
        for _ in range(60):
            with torch.no_grad():
                move = torch.distributions.Categorical(logits=policy(state)).sample()
                states.append(state)
                state = torch.tanh(state + move + value(state))
        seen = torch.stack(states)
        loss = value(seen).square().mean() + policy(seen).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    policy.eval()
    shown = 0.0
    torch.set_grad_enabled(False)
    for _ in range(100):
        shown += policy(torch.randn(6, 4)).mean().item()
    torch.set_grad_enabled(True)


@pytest.mark.usefixtures("narrow")
def test_forwards_that_recur_without_a_step_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "LOOK", 61)
    rounds = Counter[int]()
    leave = steady.Steady._leave

    def noted(self: steady.Steady) -> None:
        rounds[self.steps] += self.rounds
        leave(self)

    monkeypatch.setattr(steady.Steady, "_leave", noted)
    counted, full = both(played, monkeypatch)
    assert rounds[0] > 600
    assert said(counted) == said(full)
    assert misnamed(counted) == []


def unrolled(form: str) -> None:
    """Loops over time that are longer or shorter at each step: a cell that is given its own state
    and then a decoder, episodes of a policy, a model that is trained by hand."""
    cell, policy = nn.RNNCell(3, 4), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    together = nn.ModuleList([cell, policy])
    optimizer = torch.optim.Adam(together.parameters(), lr=0.01)
    for _ in range(100 if form == "by hand" else 40):
        many = random.randint(5, 60)
        together.zero_grad()
        if form == "episodes":
            loss = torch.zeros(())
            for _ in range(many):
                chosen = torch.distributions.Categorical(logits=policy(torch.randn(4)))
                loss = loss - chosen.log_prob(chosen.sample()) * random.random()
        else:
            state = torch.zeros(6, 4)
            for _ in range(many):
                state = cell(torch.randn(6, 3), state)
            loss = policy(state.tanh()).square().mean()
        loss.backward()
        if form != "by hand":
            optimizer.step()
            continue
        with torch.no_grad():
            for parameter in together.parameters():
                if parameter.grad is not None:
                    parameter -= 0.01 * parameter.grad


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("form", ["states", "episodes", "by hand"])
def test_loops_over_time_of_varying_length_are_counted(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "LOOK", 9999)
    rounds = Counter[int]()
    leave = steady.Steady._leave

    def noted(self: steady.Steady) -> None:
        rounds[self.steps] += self.rounds
        leave(self)

    monkeypatch.setattr(steady.Steady, "_leave", noted)
    counted, full = both(lambda: unrolled(form), monkeypatch)
    assert rounds[0] > 600
    assert said(counted) == said(full)
    reached = [
        [len(event.forwards) for event in report.timeline.events if isinstance(event, Backward)]
        for report in (counted, full)
    ]
    assert reached[0] == reached[1]
    assert misnamed(counted) == []


def beside(form: str) -> None:
    """Leaves that are no parameters: points that are drawn anew, points that stay, batches that are
    attacked; and a target that is given an average by a load."""
    model, target = (nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)) for _ in range(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    kept = torch.randn(6, 2, requires_grad=True)
    for _ in range(80):
        points = kept if form == "kept" else torch.randn(6, 2, requires_grad=True)
        value = model(points)
        if form == "attacked":
            value.square().mean().backward()
            assert points.grad is not None
            loss = model((points + 0.1 * points.grad.sign()).detach()).square().mean()
        elif form == "averaged":
            with torch.no_grad():
                wanted = target(points)
            loss = (value - wanted).square().mean()
        else:
            (slope,) = torch.autograd.grad(value.sum(), points, create_graph=True)
            loss = (slope.sum(1) + value[:, 0]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if form == "averaged":
            mean, state = target.state_dict(), model.state_dict()
            target.load_state_dict({name: 0.9 * mean[name] + 0.1 * state[name] for name in state})


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("form", ["anew", "kept", "attacked", "averaged"])
def test_rounds_with_other_leaves_and_with_loads_are_counted(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = Counter[int]()
    leave = steady.Steady._leave

    def noted(self: steady.Steady) -> None:
        rounds[self.steps] += self.rounds
        leave(self)

    monkeypatch.setattr(steady.Steady, "_leave", noted)
    counted, full = both(lambda: beside(form), monkeypatch)
    assert rounds[1] > 35
    assert said(counted) == said(full)
    assert misnamed(counted) == []


def passes() -> None:
    """Passes over a loader of 20 batches, each with an evaluation of 12; in the last ones another
    model is trained on the way, a batch norm is put to sleep, and a rate is set by hand."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 20)
    data = TensorDataset(torch.randn(120, 4))
    train, test = DataLoader(data, 6, shuffle=True), DataLoader(data, 10)
    seen = 0.0
    for number in range(54):
        model.train()
        if number > 50:
            model[1].eval()
        for (x,) in train:
            optimizer.zero_grad()
            (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
            optimizer.step()
        if number == 46:
            beside = nn.Linear(4, 1)
            other = torch.optim.SGD(beside.parameters(), lr=0.01)
        if number > 45:
            other.zero_grad()
            beside(torch.randn(6, 4)).square().mean().backward()
            other.step()
            optimizer.param_groups[0]["lr"] *= 0.9
        model.eval()
        with torch.no_grad():
            seen = sum(model(x).mean().item() for (x,) in test)
        schedule.step()
    assert math.isfinite(seen)


@pytest.mark.usefixtures("narrow")
def test_a_round_is_counted_again_once_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 40 passes, whose first batches are looked at, one step of a pass is told in full, and
    one batch of an evaluation."""
    monkeypatch.setitem(globals(), "LOOK", 9999)
    told = Counter[tuple[int, str]]()
    note = learner.Learner.note

    def noted(self: learner.Learner, event: Event) -> None:
        told[self.recorder.batches.passes.get(0, 0), kind(event)] += self.enabled
        note(self, event)

    monkeypatch.setattr(learner.Learner, "note", noted)
    counted, full = both(passes, monkeypatch)
    assert [told[number, "step"] for number in range(42, 46)] == [1, 1, 1, 1]
    assert [told[number, "forward"] for number in range(42, 46)] == [2, 2, 2, 2]
    assert said(counted) == said(full)
    assert misnamed(counted) == []


def drawn() -> None:
    """Batches of a generator, made in a block that ends before it gives them; an evaluation."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def batches() -> Iterator[torch.Tensor]:
        for _ in range(60):
            with torch.no_grad():
                x = torch.randn(6, 4) * 2
            yield x

    for x in batches():
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        for _ in range(4):
            model(torch.randn(6, 4))


@pytest.mark.usefixtures("narrow")
def test_a_block_in_a_generator_has_ended_when_it_was_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(globals(), "LOOK", 61)
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(drawn, monkeypatch)
    assert steps.total() > 40
    assert said(counted) == said(full)
    for report in (counted, full):
        forwards = [event for event in report.timeline.events if isinstance(event, Forward)]
        assert {event.off_since for event in forwards} == {-1}


def scaled(clips: bool) -> None:
    """A GradScaler and two optimizers; one loss is not finite, so that steps are held back."""
    model, head = nn.Sequential(nn.Linear(4, 8), nn.Tanh()), nn.Linear(8, 1)
    optimizers = [torch.optim.Adam(part.parameters(), lr=0.01) for part in (model, head)]
    scaler = torch.amp.GradScaler("cpu", growth_interval=40)
    for number in range(150):
        loss = head(model(torch.randn(6, 4))).square().mean()
        scaler.scale(loss * (math.inf if number == 97 else 1)).backward()
        for optimizer, part in zip(optimizers, (model, head), strict=True):
            if clips:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(part.parameters(), 1.0)
            scaler.step(optimizer)
        scaler.update()
        for optimizer in optimizers:
            optimizer.zero_grad()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("clips", [False, True])
def test_rounds_with_a_scaler_are_counted(clips: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step held back ends the counting, and is told as such."""
    monkeypatch.setitem(globals(), "LOOK", 61)
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(lambda: scaled(clips), monkeypatch)
    assert steps.total() > 160
    assert said(counted) == said(full)
    assert misnamed(counted) == []


@pytest.mark.usefixtures("narrow")
def test_rounds_compared_in_brief_are_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes again is counted exactly where most rounds are compared in brief, and a loss that
    is not finite is told at its step."""
    monkeypatch.setattr(steady, "EXACT", 0)
    monkeypatch.setattr(steady, "LULL", 0.0)  # on a fast machine too
    monkeypatch.setitem(globals(), "LOOK", 61)
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
