"""Loops with calls between their steps that repeat too, or that are others each time: rollouts,
evaluations, loops over time, loads."""

import math
import random
from collections import Counter
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import repeating
from repeating import both, ending, misnamed, said, stepping
from steplens.model.event import Backward, Event, Forward, kind
from steplens.record import learner, steady
from steplens.record.repertoire import Learnt


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
    monkeypatch.setattr(repeating, "LOOK", 61)
    rounds = ending(monkeypatch)
    counted, full = both(played, monkeypatch)
    assert rounds[0] > 600
    assert said(counted) == said(full)
    assert misnamed(counted) == []


def rollouts(form: str) -> None:
    """Moves in blocks of their own, or all in one, and an update; then something else at times."""
    policy, value = (
        nn.Sequential(
            nn.Linear(4, 8), nn.Dropout(0.1) if form == "woken" else nn.Tanh(), nn.Linear(8, 2)
        ),
        nn.Linear(4, 1),
    )
    optimizer = torch.optim.Adam([*policy.parameters(), *value.parameters()], lr=0.01)
    for number in range(24):
        states = []
        policy.eval()
        if form == "one":
            with torch.no_grad():
                for _ in range(40):
                    states.append(torch.randn(4) + policy(torch.randn(4)).mean())
        else:
            for move in range(40):
                with torch.no_grad():
                    states.append(
                        torch.randn(4) + policy(torch.randn(4)).mean() + value(torch.randn(4))
                    )
                if form == "seen" and number > 15 and move == number:
                    value(states[-1])
                if form == "woken" and number > 15 and move == number:
                    policy.train(number % 2 == 0)
                if form == "shorter" and random.random() < 0.03:
                    break
        policy.train()
        seen = torch.stack(states)
        loss = value(seen).square().mean() + policy(seen).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("form", ["one", "each", "seen", "woken", "shorter"])
def test_rollouts_are_compared_in_brief(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "EXACT", 0)
    monkeypatch.setattr(steady, "LULL", 0.0)  # on a fast machine too
    monkeypatch.setattr(repeating, "LOOK", 61)
    brief, rounded = Counter[bool](), steady.Steady.rounded

    def noted(self: steady.Steady) -> None:
        brief[self.brief] += 1
        rounded(self)

    monkeypatch.setattr(steady.Steady, "rounded", noted)
    counted, full = both(lambda: rollouts(form), monkeypatch)
    assert brief[True] > 300
    assert said(counted) == said(full)
    assert misnamed(counted) == []


def unrolled(form: str) -> None:
    """Loops over time that are longer or shorter at each step: a cell that is given its own state
    and then a decoder, episodes of a policy, a model that is trained by hand."""
    cell, policy = nn.RNNCell(3, 4), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    together = nn.ModuleList([cell, policy])
    optimizer = torch.optim.Adam(together.parameters(), lr=0.01)
    for _ in range(100 if form == "by hand" else 90):
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
    monkeypatch.setattr(repeating, "LOOK", 9999)
    rounds = ending(monkeypatch)
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
    rounds = ending(monkeypatch)
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
    """No step of a later pass is told in full, and no batch of an evaluation, nor the first batches
    of the first 40, which get a digest."""
    monkeypatch.setattr(repeating, "LOOK", 9999)
    told = Counter[tuple[int, str]]()
    note = learner.Learner.note

    def noted(self: learner.Learner, event: Event) -> None:
        told[self.recorder.batches.passes.get(0, 0), kind(event)] += self.enabled
        note(self, event)

    monkeypatch.setattr(learner.Learner, "note", noted)
    counted, full = both(passes, monkeypatch)
    for kinds, many in (("step", 0), ("forward", 0), ("batch", 4)):  # two passes begin and end
        assert [told[number, kinds] for number in (20, 21, 42, 43)] == [many] * 4, kinds
    assert said(counted) == said(full)
    assert misnamed(counted) == []


def skipping() -> None:
    """Passes of which two batches in a row are skipped at times."""
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train = DataLoader(TensorDataset(torch.randn(240, 4)), 6)
    for number in range(30):
        for place, (x,) in enumerate(train):
            if number % 3 == 0 and place in (20, 21, 22):
                continue
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            seen = model(x).mean().item()
        model.train()
    assert math.isfinite(seen)


@pytest.mark.usefixtures("narrow")
def test_batches_that_are_skipped_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that was begun and left has not left what the last whole one did."""
    monkeypatch.setattr(repeating, "LOOK", 997)
    since, take_up = list[bool](), learner.Learner.take_up

    def taken_up(self: learner.Learner, learnt: Learnt, newest: int) -> bool:
        held = [
            one for call in learnt.calls for a in call.accounts for one in a.holding.contributions
        ]
        begun = take_up(self, learnt, newest)
        if begun and learnt.steps:
            since.append(all(one.backward >= newest for one in held))
            since.append(all(one.backward < newest + len(learnt.calls) for one in held))
        return begun

    monkeypatch.setattr(learner.Learner, "take_up", taken_up)
    counted, full = both(skipping, monkeypatch)
    assert len(since) > 20
    assert all(since)
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
    monkeypatch.setattr(repeating, "LOOK", 61)
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(drawn, monkeypatch)
    assert steps.total() > 40
    assert said(counted) == said(full)
    for report in (counted, full):
        forwards = [event for event in report.timeline.events if isinstance(event, Forward)]
        assert {event.off_since for event in forwards} == {-1}
