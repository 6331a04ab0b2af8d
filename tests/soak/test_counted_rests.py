"""Rounds that are left when they are whole and counted on later: whatever comes between them."""

import random

import pytest
import torch
from torch import nn

import repeating
from repeating import both, misnamed, said
from steplens.record.learner import Learner
from steplens.record.repertoire import Learnt


class Training:
    """A small model and what is done to it between two epochs of twenty steps."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.model = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 1)
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.best = {name: each.clone() for name, each in self.model.state_dict().items()}

    def loss(self) -> torch.Tensor:
        return self.model(torch.randn(6, 4)).square().mean()

    def epoch(self) -> None:
        for _ in range(20):
            if self.order == "clear":
                self.optimizer.zero_grad()
                self.loss().backward()
            else:
                loss = self.loss()
                if self.order == "forward":
                    self.optimizer.zero_grad(set_to_none=False)
                else:
                    self.model.zero_grad()
                loss.backward()
            self.optimizer.step()

    def evaluated(self) -> None:
        self.model.eval()
        with torch.no_grad():
            for _ in range(6):
                self.model(torch.randn(6, 4)).mean().item()
        self.model.train()

    def seen_in_blocks(self) -> None:
        self.model.eval()
        for _ in range(6):
            with torch.no_grad():
                self.model(torch.randn(6, 4)).mean().item()
        self.model.train()

    def seen_awake(self) -> None:
        with torch.no_grad():
            for _ in range(6):
                self.model(torch.randn(6, 4)).mean().item()

    def seen_with_graphs(self) -> None:
        self.model.eval()
        for _ in range(6):
            self.model(torch.randn(6, 4)).mean().item()
        self.model.train()

    def left_asleep(self) -> None:
        self.model.eval()

    def averaged(self) -> None:
        with torch.no_grad():
            for name, each in self.model.state_dict().items():
                self.best[name] = self.best[name] * 0.5 + each * 0.5
        own = {name: each.clone() for name, each in self.model.state_dict().items()}
        self.model.load_state_dict(self.best, strict=False)
        self.evaluated()
        self.model.load_state_dict(own)

    def averages_left_in(self) -> None:
        self.evaluated()
        self.model.load_state_dict(self.best)

    def shrunk(self) -> None:
        self.evaluated()
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.mul_(0.9)

    def assigned(self) -> None:
        self.evaluated()
        for parameter in self.model.parameters():
            parameter.data = parameter.data * 0.9

    def gathered(self) -> None:
        self.evaluated()
        self.loss().backward()

    def gathered_and_cleared(self) -> None:
        self.loss().backward()
        self.optimizer.zero_grad()
        self.evaluated()

    def cleared(self) -> None:
        self.optimizer.zero_grad()
        self.evaluated()

    def dropped(self) -> None:
        self.evaluated()
        for parameter in self.model.parameters():
            parameter.grad = None

    def gradients_written(self) -> None:
        self.evaluated()
        for parameter in self.model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(0.5)

    def stepped_twice(self) -> None:
        self.evaluated()
        self.optimizer.step()

    def rates_set(self) -> None:
        self.evaluated()
        for group in self.optimizer.param_groups:
            group["lr"] *= 0.7

    def frozen(self) -> None:
        self.evaluated()
        self.model[0].requires_grad_(False)

    def another_optimizer(self) -> None:
        self.evaluated()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)

    def another_beside(self) -> None:
        other = torch.optim.SGD(self.model[0].parameters(), lr=0.01)
        other.zero_grad()
        self.loss().backward()
        other.step()
        self.evaluated()

    def grown(self) -> None:
        self.evaluated()
        self.model.append(nn.Linear(1, 1))
        self.optimizer.add_param_group({"params": self.model[-1].parameters()})

    def begun_and_left(self) -> None:
        self.evaluated()
        self.optimizer.zero_grad()
        self.loss()

    def failed(self) -> None:
        self.evaluated()
        try:
            self.model(torch.randn(6, 3))
        except RuntimeError:
            return


BETWEEN = [
    name
    for name, each in vars(Training).items()
    if callable(each) and name not in ("__init__", "loss", "epoch")
]


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("order", ["clear", "forward", "model"])
def test_what_comes_between_is_found(
    order: str, between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the twelfth epoch on something else than an evaluation comes between two, at times."""
    monkeypatch.setattr(repeating, "LOOK", 61)
    taken, take_up = [0], Learner.take_up

    def counted_on(self: Learner, learnt: Learnt, newest: int) -> bool:
        begun = take_up(self, learnt, newest)
        taken[0] += begun
        return begun

    monkeypatch.setattr(Learner, "take_up", counted_on)

    alive = []  # to the end, at which the parameters are looked at

    def program() -> None:
        training = Training(order)
        alive.append(training)
        for number in range(30):
            training.epoch()
            other = number > 12 and random.random() < 0.5
            getattr(training, between if other else "evaluated")()

    counted, full = both(program, monkeypatch)
    assert taken[0] > 10
    assert said(counted) == said(full)
    assert misnamed(counted) == []
