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


class Cell(nn.Module):
    """One letter after the other."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(4 + 6, 6), nn.Linear(6, classes)

    def forward(self, letter: torch.Tensor, hidden: torch.Tensor) -> tuple[torch.Tensor, ...]:
        hidden = self.hidden(torch.cat((letter, hidden), 1)).tanh()
        return self.out(hidden).log_softmax(1), hidden


def named() -> None:
    """Words of 2 to 5 letters, a cell for each letter."""
    cell = Cell(3)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.01)
    for _ in range(240):
        letters, hidden, made = torch.randn(random.randint(2, 5), 1, 4), torch.zeros(1, 6), None
        cell.zero_grad()
        for letter in letters:
            made, hidden = cell(letter, hidden)
        assert made is not None
        functional.nll_loss(made, torch.tensor([random.randrange(3)])).backward()
        optimizer.step()


def translated() -> None:
    """Sentences of 2 or 3 words; what is read next is the right word, or the one just said."""
    reader, writer = nn.GRUCell(4, 6), Cell(4)
    first = torch.optim.SGD(reader.parameters(), lr=0.01)
    second = torch.optim.Adam(writer.parameters(), lr=0.01)
    for _ in range(300):
        words = torch.randint(0, 4, (random.randint(2, 3),))
        told, hidden, loss = (
            functional.one_hot(words, 4).float(),
            torch.zeros(1, 6),
            torch.zeros(()),
        )
        first.zero_grad()
        second.zero_grad()
        for word in told:
            hidden = reader(word[None], hidden)
        said = torch.zeros(1, 4)
        if random.random() < 0.5:
            for number, word in enumerate(told):
                made, hidden = writer(said, hidden)
                loss, said = loss + functional.nll_loss(made, words[number, None]), word[None]
        else:
            for number in range(len(words)):
                made, hidden = writer(said, hidden)
                loss = loss + functional.nll_loss(made, words[number, None])
                said = functional.one_hot(made.argmax(1), 4).float()
        loss.backward()
        first.step()
        second.step()


def played() -> None:
    """Episodes of 3 to 6 moves, then one update from them; gradients are zeroed, not let go."""
    policy = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    for _ in range(240):
        logs = []
        for _ in range(random.randint(3, 6)):
            moves = torch.distributions.Categorical(logits=policy(torch.randn(1, 4)))
            logs.append(moves.log_prob(moves.sample()))
        loss = torch.cat([log * place for place, log in enumerate(logs)]).sum().neg()
        optimizer.zero_grad(set_to_none=False)
        loss.backward()
        optimizer.step()


class Reader(nn.Module):
    """As many letters as there are, in one forward."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.GRUCell(4, 6), nn.Linear(6, 1)

    def forward(self, letters: torch.Tensor) -> torch.Tensor:
        hidden = torch.zeros(letters.shape[1], 6)
        for letter in letters:
            hidden = self.cell(letter, hidden)
        out: torch.Tensor = self.head(hidden)
        return out


def read() -> None:
    """Batches of words of 2 to 5 letters."""
    reader = Reader()
    optimizer = torch.optim.Adam(reader.parameters(), lr=1e-3)
    for _ in range(240):
        loss = reader(torch.randn(random.randint(2, 5), 3, 4)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


PROGRAMS: dict[str, Callable[[], None]] = {
    "explored": explored,
    "named": named,
    "translated": translated,
    "played": played,
    "read": read,
    "two ways": two_ways,
    **{
        order: (lambda order=order: chances(order))  # type: ignore[misc]
        for order in (
            "clear forward backward [clip] step",
            "clear forward [more] backward step",
            "clear forward backward [forward] [backward] step",
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


class Chances(nn.Module):
    """Layers that are left out at random: graphs of as many nodes, with other leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(4)])
        self.head = nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            if random.random() < 0.7:
                x = x + layer(x).tanh()
        out: torch.Tensor = self.head(x)
        return out


def deep() -> None:
    """Stochastic depth."""
    model = Chances()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(240):
        optimizer.zero_grad()
        model(torch.randn(6, 4)).square().mean().backward()
        optimizer.step()


@pytest.mark.usefixtures("narrow")
def test_graphs_that_differ_in_their_leaves_alone_are_told_in_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repeating, "LOOK", 61)
    counted, full = both(deep, monkeypatch)
    assert said(counted) == said(full)
