"""The second places of findings: lines that explain the first, which may be the ones to change."""

import torch
from torch import nn

import watching


def places(function) -> dict[str, set[int]]:
    """For each code found, the lines of its second places, counted from the function's own."""
    first = function.__code__.co_firstlineno
    return {
        finding.code: {mark.at.line - first for mark in finding.because}
        for finding in watching.watched(function).findings
    }


def step(model, optimizer):
    model(torch.randn(8, 4)).pow(2).mean().backward()
    optimizer.step()


def test_the_clear_before_the_loop_is_told() -> None:
    def program():
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        optimizer.zero_grad()
        for _ in range(3):
            step(model, optimizer)

    assert 3 in places(program)["SL201"]


def test_the_second_clear_of_another_optimizer_is_told() -> None:
    def program():
        one, two = nn.Linear(4, 1), nn.Linear(4, 1)
        first = torch.optim.SGD(one.parameters(), lr=0.01)
        second = torch.optim.SGD(two.parameters(), lr=0.01)
        for _ in range(3):
            first.zero_grad()
            step(one, first)
            first.zero_grad()
            step(two, second)

    assert 7 in places(program)["SL201"]


def test_the_call_that_woke_the_model_before_the_loop_is_told() -> None:
    def program():
        model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        model.train()
        for _ in range(3):
            optimizer.zero_grad()
            step(model, optimizer)
            model.eval()

    assert 3 in places(program)["SL101"]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, x):
        return self.layer(x)


def test_the_line_that_made_the_model_anew_is_told() -> None:
    def program():
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        model = Net()
        for _ in range(4):
            optimizer.zero_grad()
            step(model, optimizer)

    assert 3 in places(program)["SL302"]


class Trainer:
    def __init__(self, count=1):
        self.parts = [nn.Linear(4, 1) for _ in range(count + 1)]
        self.slow = torch.optim.SGD(self.parts[0].parameters(), lr=0.01)
        self.others = [torch.optim.SGD(part.parameters(), lr=0.01) for part in self.parts[1:]]


def helps(function) -> dict[str, str]:
    return {finding.code: finding.help for finding in watching.watched(function).findings}


def test_the_help_names_the_programs_own_optimizer() -> None:
    def never_cleared():
        trainer = Trainer()
        for _ in range(3):
            step(trainer.parts[0], trainer.slow)

    def never_stepped():
        trainer = Trainer()
        for _ in range(9):
            trainer.slow.zero_grad()
            trainer.parts[0](torch.randn(8, 4)).pow(2).mean().backward()

    assert "`slow.zero_grad()`" in helps(never_cleared)["SL201"]
    assert "`slow.step()`" in helps(never_stepped)["SL204"]


def test_the_help_calls_no_method_of_a_list_of_optimizers() -> None:
    def program():
        trainer = Trainer(2)
        for _ in range(3):
            for part, optimizer in zip(trainer.parts[1:], trainer.others, strict=True):
                step(part, optimizer)

    assert "`optimizer.zero_grad()`" in helps(program)["SL201"]
