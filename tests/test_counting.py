"""When rounds begin to be counted, and what is done then."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

import steplens
from steplens.record import heap
from steplens.record.learner import Learner


def stepping() -> tuple[nn.Module, Callable[[], None]]:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()

    return model, step


@pytest.fixture
def begun(monkeypatch) -> list[int]:
    """The steps at which the counting began."""
    found = []
    begin = Learner._begin

    def noted(self, *given):
        found.append(self.recorder.step)
        begin(self, *given)

    monkeypatch.setattr(Learner, "_begin", noted)
    return found


def test_memory_is_given_back_once(begun, monkeypatch):
    given_back = []
    monkeypatch.setattr(heap, "_trimmer", lambda: given_back.append)
    model, step = stepping()
    with steplens.watch():
        for _ in range(3):
            for _ in range(40):
                step()
            model.eval()  # ends the counting
            model.train()
    assert len(begun) > 1
    assert given_back == [0]


def test_a_c_library_that_cannot_is_left_alone(begun, monkeypatch):
    monkeypatch.setattr(heap, "_trimmer", lambda: None)
    _, step = stepping()
    with steplens.watch() as lens:
        for _ in range(40):
            step()
    assert begun
    assert not lens.report.faults


def test_an_optimizer_whose_phase_is_to_come_does_not_hold_it_up(begun):
    with steplens.watch():
        _, step = stepping()
        _, later = stepping()
        for _ in range(40):
            step()
        alone = list(begun)
        for _ in range(40):
            later()
    assert alone
    assert len(begun) > len(alone)
