"""Programs that go on for a long time: each makes what it needs and gives one step."""

import copy
from collections.abc import Callable
from itertools import count

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

Step = Callable[[], object]


def plain() -> Step:
    """A loop as it should be, with an evaluation now and then and a schedule."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 100, 0.9995)
    x, number = torch.randn(8, 4), count()

    def step() -> None:
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if next(number) % 5 == 0:
            model.eval()
            with torch.no_grad():
                model(x).mean().item()
            model.train()

    return step


def left_out() -> Step:
    """A parameter that no optimizer holds: its gradient is never cleared."""
    model, head = nn.Linear(4, 8), nn.Linear(8, 1)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.01)
    x = torch.randn(8, 4)

    def step() -> None:
        optimizer.zero_grad()
        head(model(x)).mean().backward()
        optimizer.step()

    return step


def never_stepped() -> Step:
    """Backward passes without a step."""
    model, x = nn.Linear(4, 1), torch.randn(8, 4)
    return lambda: model(x).mean().backward()


def never_cleared() -> Step:
    """Steps without a clear."""
    model, x = nn.Linear(4, 1), torch.randn(8, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)

    def step() -> None:
        model(x).mean().backward()
        optimizer.step()

    return step


def adversaries() -> Step:
    """Two networks against each other."""
    one, two = nn.Linear(2, 4), nn.Linear(4, 1)
    first = torch.optim.Adam(one.parameters(), lr=1e-3)
    second = torch.optim.Adam(two.parameters(), lr=1e-3)
    x = torch.randn(8, 2)

    def step() -> None:
        second.zero_grad()
        (two(one(x).detach()).mean() - two(torch.randn(8, 4)).mean()).backward()
        second.step()
        first.zero_grad()
        (-two(one(x)).mean()).backward()
        first.step()

    return step


def loaded() -> Step:
    """A new DataLoader and a pass through it for each step."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    data = TensorDataset(torch.randn(4, 4))

    def step() -> None:
        for (x,) in DataLoader(data, batch_size=2, shuffle=True):
            optimizer.zero_grad()
            model(x).mean().backward()
            optimizer.step()

    return step


def short_lived() -> Step:
    """Meta-learning: a copy of the model and an optimizer of its own for each task."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1))
    x = torch.randn(8, 4)

    def step() -> None:
        learner = copy.deepcopy(model)
        optimizer = torch.optim.SGD(learner.parameters(), lr=0.01, momentum=0.9)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        for _ in range(2):
            optimizer.zero_grad()
            learner(x).pow(2).mean().backward()
            optimizer.step()
            schedule.step()
        learner.eval()
        learner(x)

    return step


def kept_graphs() -> Step:
    """The loss is summed up with its graph; started anew now and then."""
    model, x, number = nn.Linear(4, 1), torch.randn(8, 4), count()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    kept: list[torch.Tensor] = []

    def step() -> None:
        optimizer.zero_grad()
        loss = model(x).pow(2).mean()
        loss.backward()
        optimizer.step()
        kept.append(loss)
        if next(number) % 50 == 0:
            kept.clear()

    return step


def by_hand() -> Step:
    """Weights written, gradients zeroed and saved state loaded by hand, at every step."""
    model, x = nn.Linear(4, 1), torch.randn(8, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    best = copy.deepcopy(model.state_dict())

    def step() -> None:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        model(x).pow(2).mean().backward()
        optimizer.step()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.clamp_(-1, 1)
        model.load_state_dict(best)

    return step


LOOPS: dict[str, Callable[[], Step]] = {
    "plain": plain,
    "a parameter left out": left_out,
    "never stepped": never_stepped,
    "never cleared": never_cleared,
    "two networks": adversaries,
    "a loader for each step": loaded,
    "short-lived models": short_lived,
    "graphs kept": kept_graphs,
    "by hand": by_hand,
}
