"""Loops whose rounds end with a step: all of them are counted, and nothing else is found."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

import repeating
from repeating import both, misnamed, said, stepping


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
    monkeypatch.setattr(repeating, "LOOK", 61)
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(program, monkeypatch)
    assert steps[6 if program is critic else 5] > 80
    assert said(counted) == said(full)
    assert misnamed(counted) == []


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
    monkeypatch.setattr(repeating, "LOOK", 61)
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
    monkeypatch.setattr(repeating, "LOOK", 61)
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(chased, monkeypatch)
    assert steps.total() > 60
    assert said(counted) == said(full)


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
    monkeypatch.setattr(repeating, "LOOK", 61)
    steps = stepping(monkeypatch, lambda counting: counting.steps)
    counted, full = both(lambda: scaled(clips), monkeypatch)
    assert steps.total() > 160
    assert said(counted) == said(full)
    assert misnamed(counted) == []
