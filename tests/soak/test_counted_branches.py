"""Loops that go now one way, now another: each way is counted, and nothing else is found."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

import repeating
from repeating import both, misnamed, said
from steplens.record import branch


def explored() -> None:
    """A network that learns from a slowly moved copy of itself; half of the moves are drawn."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    target = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    target.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    seen = 0.0
    for _ in range(240):
        if random.random() > 0.5:
            with torch.no_grad():
                seen += model(torch.randn(1, 4)).max(1).indices.item()
        state = torch.randn(8, 4)
        value = model(state)[:, 0]
        with torch.no_grad():
            aim = target(state).max(1).values
        loss = functional.smooth_l1_loss(value, 0.9 * aim + 1)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 100)
        optimizer.step()
        moved = target.state_dict()
        for name, tensor in model.state_dict().items():
            moved[name] = 0.1 * tensor + 0.9 * moved[name]
        target.load_state_dict(moved)


class Loop:
    """What a training loop does in a step, a call at a time, each at a line of its own."""

    def __init__(self, sensitive: bool) -> None:
        norm = nn.BatchNorm1d(8) if sensitive else nn.LayerNorm(8)
        self.body = nn.Sequential(nn.Linear(4, 8), norm, nn.Tanh())
        self.head = nn.Linear(8, 1)
        self.parameters = [*self.body.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.Adam(self.parameters, lr=0.01)
        self.x, self.loss = torch.randn(6, 4), torch.zeros(())

    def clear(self) -> None:
        self.optimizer.zero_grad()

    def zero(self) -> None:
        self.optimizer.zero_grad(set_to_none=False)

    def forward(self) -> None:
        self.loss = self.head(self.body(self.x)).square().mean()

    def more(self) -> None:
        self.loss = self.loss + (self.head(self.body(self.x * 0.5)) - 1).abs().mean()

    def look(self) -> None:
        with torch.no_grad():
            self.head(self.body(self.x)).mean()

    def longer(self) -> None:
        self.loss = self.loss + self.loss.square() * 0.1

    def backward(self) -> None:
        self.loss.backward()

    def clip(self) -> None:
        nn.utils.clip_grad_norm_(self.parameters, 1.0)

    def step(self) -> None:
        self.optimizer.step()


def chances(order: str) -> None:
    """A plain loop with its calls in this order; what stands in brackets happens at random."""
    loop = Loop(sensitive="[look]" not in order)
    for _ in range(240):
        often = random.random() < 0.6
        for call in order.split():
            if often or call[0] != "[":
                getattr(loop, call.strip("[]"))()


def two_ways() -> None:
    """Either mixed samples and two losses, or plain ones; the layers feed one another."""
    body, head = nn.Linear(4, 8), nn.Linear(8, 3)
    optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=0.1, momentum=0.9)
    x, y = torch.randn(12, 4), torch.randint(0, 3, (12,))
    for _ in range(240):
        if random.random() < 0.5:
            share, other = random.random(), torch.randperm(12)
            hidden = body(share * x + (1 - share) * x[other])
            made = head(hidden.relu())
            loss = share * functional.cross_entropy(made, y)
            loss = loss + (1 - share) * functional.cross_entropy(made, y[other])
        else:
            loss = functional.cross_entropy(head(body(x).relu()), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


PROGRAMS: dict[str, Callable[[], None]] = {
    "explored": explored,
    "two ways": two_ways,
    **{
        order: (lambda order=order: chances(order))  # type: ignore[misc]
        for order in (
            "clear forward backward [clip] step",
            "clear forward [more] backward step",
            "[look] clear forward backward step",
            "forward [look] backward step clear",
            "zero forward [look] backward step",
            "[look] zero forward backward step",
            "forward [more] [look] clear backward clip step",
            "clear forward [longer] backward step",
        )
    },
}


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_loop_is_counted_whichever_way_it_goes(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeating, "LOOK", 61)
    taken, take = Counter[bool](), branch._take

    def noted(*given: Any) -> None:
        take(*given)
        taken[True] += 1

    monkeypatch.setattr(branch, "_take", noted)
    counted, full = both(PROGRAMS[name], monkeypatch)
    assert taken.total() > 30
    assert said(counted) == said(full)
    assert misnamed(counted) == []
    assert not counted.faults
