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


def two_losses_with_a_clear_between(steps):
    model, head = nn.Linear(4, 8), nn.Linear(8, 1)
    optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.01)
    for _ in range(steps):
        for _ in range(3):
            optimizer.zero_grad()
            head(model(torch.randn(8, 4))).pow(2).mean().backward()
        optimizer.step()


def one_of_two_never_steps(steps):
    actor, critic = nn.Linear(4, 1), nn.Linear(4, 1)
    first, second = (torch.optim.SGD(m.parameters(), lr=0.01) for m in (actor, critic))
    for _ in range(steps):
        first.zero_grad()
        actor(torch.randn(8, 4)).pow(2).mean().backward()
        second.zero_grad()
        critic(torch.randn(8, 4)).pow(2).mean().backward()
        second.step()


@pytest.mark.parametrize(
    ("program", "code", "evidence"),
    [
        (two_losses_with_a_clear_between, "SL202", "backward passes cleared unused so far"),
        (one_of_two_never_steps, "SL204", "backward passes that reached its parameters"),
    ],
)
def test_a_finding_counts_all_steps_of_a_long_run(begun, program, code, evidence):
    with steplens.watch() as lens:
        program(150)
    assert begun or code == "SL204"  # gradients that nobody uses are not counted
    found = next(finding for finding in lens.report.findings if finding.code == code)
    assert (found.count, found.first_step, found.last_step) == (150, 1, 150)
    numbers = {each.subject: each.got for each in found.evidence}
    assert numbers[evidence] == ("300" if code == "SL202" else "150")


def test_a_finding_in_a_program_without_a_step_counts_none():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with steplens.watch() as lens:
        for _ in range(60):
            model(torch.randn(8, 4)).pow(2).mean().backward()
            optimizer.zero_grad()
    found = lens.report.findings[0]
    assert (found.code, found.count) == ("SL204", 1)


def test_what_is_looked_at_now_and_then_is_not_counted_in_steps():
    model = nn.Linear(4, 1)
    batches = torch.utils.data.DataLoader(torch.randn(64, 4), batch_size=8)
    optimizer, total = torch.optim.SGD(model.parameters(), lr=0.01), 0.0
    with steplens.watch() as lens:
        for _ in range(90):
            loss = model(next(iter(batches))).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss
    kept, again = sorted(lens.findings, key=lambda finding: finding.code)
    assert [kept.code, kept.count, again.code, again.count] == ["SL401", 1, "SL506", 1]
    assert again.evidence[-1].got == "40"
    assert kept.evidence[0].subject.startswith("graphs alive at the steps up to ")
    assert kept.evidence[0].got == "60, 61, 62, 63, 64"
