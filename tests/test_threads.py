"""Two threads that train two models at once: each step is told as if it had been alone."""

import math
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import steplens
from steplens.model.event import Backward, Clear, Forward, Schedule, Step, Values
from steplens.record.snapshot import Camera
from watching import watched

STEPS = 12


class Turns:
    """Two threads take turns after each of their calls, so that their steps are woven together in
    the same way each time."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=120)
        self.failed: list[BaseException] = []

    def run(self, *works: Callable[[], Iterator[object]]) -> None:
        threads = [
            threading.Thread(target=self._taking, args=(place, work))
            for place, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failed:
            raise self.failed[0]

    def _taking(self, place: int, work: Callable[[], Iterator[object]]) -> None:
        try:
            calls = work()
            for turn in range(10**6):
                self.barrier.wait()
                if turn % 2 == place and next(calls, self) is self:
                    self.barrier.abort()  # the other one goes on alone
                    return
        except threading.BrokenBarrierError:
            for _ in calls:
                pass
        except BaseException as error:
            self.barrier.abort()
            self.failed.append(error)


def trained(kind: type[torch.optim.Optimizer], width: int) -> Iterator[object]:
    """A training loop that pauses after each call."""
    model = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 1))
    optimizer = kind(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    generator = torch.Generator().manual_seed(width)
    for _ in range(STEPS):
        x = torch.randn(6, 4, generator=generator)
        out = model(x)
        yield "forward"
        loss = (out - x.sum(1, keepdim=True)).pow(2).mean()
        yield "loss"
        loss.backward()
        yield "backward"
        optimizer.step()
        yield "step"
        schedule.step()
        yield "schedule"
        optimizer.zero_grad()
        yield "clear"


def test_two_threads_that_train_two_models_are_told_apart() -> None:
    works = [lambda: trained(torch.optim.SGD, 4), lambda: trained(torch.optim.Adam, 7)]
    report = watched(lambda: Turns().run(*works))
    assert report.findings == []
    assert report.steps == 2 * STEPS
    events = report.timeline.events
    forwards = {event.index: event for event in events if isinstance(event, Forward)}
    backwards = {event.index: event for event in events if isinstance(event, Backward)}
    steps = [event for event in events if isinstance(event, Step)]
    for optimizer in (0, 1):
        own = [step for step in steps if step.optimizer == optimizer]
        assert len(own) == STEPS
        for step in own:
            (share,) = step.uses
            (contribution,) = share.holds
            (forward,) = backwards[contribution.backward].forwards
            assert forwards[forward].module == forwards[first_of(own, backwards)].module
            assert len(share.tensors) == 4
            assert step.moved == 4
    modules = {forwards[b.forwards[0]].module for b in backwards.values()}
    assert len(modules) == 2
    assert sum(isinstance(event, Schedule) for event in events) == 2 * STEPS
    assert sum(isinstance(event, Clear) for event in events) == 2 * STEPS


def scaled(scale: float) -> Iterator[object]:
    """A loss of about ``scale``, and a pause between its backward and its step."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(torch.randn(6, 4)).pow(2).mean() * 0.01 + scale
        yield "loss"
        loss.backward()
        yield "backward"
        optimizer.step()
        yield "step"


def test_the_values_of_two_threads_are_not_mixed() -> None:
    report = watched(lambda: Turns().run(lambda: scaled(10.0), lambda: scaled(1000.0)))
    steps = {event.index: event for event in report.timeline.events if isinstance(event, Step)}
    found: dict[int, set[int]] = {}
    for event in report.timeline.events:
        if isinstance(event, Values) and event.loss is not None:
            assert steps[event.of].optimizer == event.optimizer
            found.setdefault(event.optimizer, set()).add(round(math.log10(event.loss)))
    assert sorted(found.values(), key=min) == [{1}, {3}]


def first_of(steps: list[Step], backwards: dict[int, Backward]) -> int:
    """The forward behind an optimizer's first step."""
    return backwards[steps[0].uses[0].holds[0].backward].forwards[0]


class Meeting:
    """A point at which two threads wait for one another."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2, timeout=120)

    def __call__(self, *_: object) -> None:
        self.barrier.wait()


@pytest.mark.parametrize("where", ["step", "backward", "schedule", "forward", "constructor"])
def test_two_threads_in_the_midst_of_the_same_call_are_told_apart(where: str) -> None:
    """Both are inside the call at the same time: neither leaves it before the other is in it."""
    report = watched(lambda: both(working(where)))
    assert report.findings == []
    assert report.steps == 8
    events = report.timeline.events
    assert sum(isinstance(event, Schedule) for event in events) == 8
    for step in (event for event in events if isinstance(event, Step)):
        assert [len(share.holds) for share in step.uses] == [1]
        assert step.moved == 2


def both(work: Callable[[], object]) -> None:
    """Two threads do the same work."""
    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def working(where: str) -> Callable[[], None]:
    """A training loop in which two threads meet inside one kind of call."""
    meet = Meeting()

    class Optimizer(torch.optim.SGD):
        def step(self, closure=None):  # type: ignore[no-untyped-def]
            if where == "step":
                meet()
            result = super().step(closure)
            if where == "step":
                meet()
            return result

    class Decay(torch.optim.lr_scheduler.ExponentialLR):
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            super().__init__(optimizer, 0.9)

        def get_lr(self) -> list[float]:
            if where == "schedule" or (where == "constructor" and self.last_epoch == 0):
                meet()
            return super().get_lr()

    def work() -> None:
        model = nn.Linear(3, 1)
        optimizer = Optimizer(model.parameters(), lr=0.01)
        schedule = Decay(optimizer)
        if where == "backward":
            model.weight.register_hook(meet)
        if where == "forward":
            model.register_forward_pre_hook(meet)
            model.register_forward_hook(lambda *_: meet())
        for _ in range(4):
            optimizer.zero_grad()
            model(torch.ones(2, 3)).pow(2).mean().backward()
            optimizer.step()
            schedule.step()

    return work


def test_a_graph_made_in_one_thread_and_run_backward_in_another_is_known() -> None:
    made: list[torch.Tensor] = []

    def handed_over() -> None:
        model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            thread = threading.Thread(target=lambda: made.append(model(torch.ones(2, 3))))
            thread.start()
            thread.join()
            made.pop().pow(2).mean().backward()
            optimizer.step()

    report = watched(handed_over)
    assert report.findings == []
    assert report.steps == 3


def test_gradients_are_let_be_while_another_thread_runs_backward(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """torch writes them with Python's lock released: to read one then may end the process."""
    inside, over, looks = threading.Event(), threading.Event(), [0, 0]
    moved, look = Camera.moved, Camera.look

    def noted(self: Camera) -> bool:
        looks[inside.is_set() and not over.is_set()] += 1
        return moved(self)

    def noted_too(self: Camera, *given: Any) -> Any:
        looks[inside.is_set() and not over.is_set()] += 1
        return look(self, *given)

    def meet(_: torch.Tensor) -> None:
        inside.set()
        over.wait(120)

    monkeypatch.setattr(Camera, "moved", noted)
    monkeypatch.setattr(Camera, "look", noted_too)
    with steplens.watch(search=False) as lens:
        model, mine = nn.Linear(3, 1), nn.Linear(3, 1)
        model.weight.register_hook(meet)
        loss = model(torch.ones(2, 3)).sum()
        thread = threading.Thread(target=loss.backward)
        thread.start()
        inside.wait(120)
        mine.eval()
        mine.train()
        over.set()
        thread.join()
        mine.eval()
    assert not lens.report.faults
    assert looks[0]
    assert not looks[1]
    assert model.weight.grad is not None


def test_a_thread_that_ends_the_counting_at_any_moment_loses_nothing() -> None:
    """One thread trains, its rounds counted; another runs forwards as often as it can, each of
    which ends the counting, in the middle of whatever the first does."""
    steps, others, done = 1500, 0, threading.Event()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with steplens.watch(lines=0, search=False) as lens:
            model, other, x = nn.Linear(4, 1), nn.Linear(4, 2), torch.randn(8, 4)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

            def disturb() -> None:
                nonlocal others
                while not done.is_set():
                    other(x)
                    others += 1

            thread = threading.Thread(target=disturb)
            thread.start()
            try:
                for _ in range(steps):
                    optimizer.zero_grad()
                    model(x).square().mean().backward()
                    optimizer.step()
            finally:
                done.set()
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    report = lens.report
    counts = report.timeline.counts
    assert not report.faults
    assert report.steps == counts["step"] == counts["backward"] == counts["clear"] == steps
    assert counts["forward"] == steps + others
    assert [finding.message for finding in report.findings] == []


def test_a_fork_works_while_another_thread_is_in_the_midst_of_an_event() -> None:
    """The child has the lock that the other thread held, and not that thread."""
    inside, over = threading.Event(), threading.Event()
    with steplens.watch(lines=0, search=False) as lens:
        recorder = lens.session.recorder
        assert recorder is not None
        assert recorder.lock is recorder.steady.lock is recorder.underway.still  # or: a deadlock

        def hold() -> None:
            with recorder.lock:
                inside.set()
                over.wait(120)

        thread = threading.Thread(target=hold)
        thread.start()
        inside.wait(120)
        process = multiprocessing.get_context("fork").Process(target=trained_alone)
        process.start()
        process.join(60)
        process.kill()
        process.join()
        over.set()
        thread.join()
    assert process.exitcode == 0
    assert not lens.report.faults


def trained_alone() -> None:
    """A few steps of a small model."""
    torch.set_num_threads(1)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()


CLEARING = """
import sys, threading, torch, steplens
from torch import nn

torch.set_num_threads(1)
sys.setswitchinterval(1e-5)


def work():
    model = nn.Sequential(*[nn.Linear(3, 3) for _ in range(12)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(60):
        for _ in range(30):
            optimizer.zero_grad()
        model(torch.ones(2, 3)).pow(2).mean().backward()
        optimizer.step()


def main():
    with steplens.watch(lines=400):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        while threads[0].is_alive():
            tensor = torch.ones(2)
            tensor = None  # lines of this thread, after which gradients are looked at
        for thread in threads:
            thread.join()


for _ in range(3):
    main()
"""


def test_gradients_that_other_threads_clear_meanwhile_are_not_looked_at(tmp_path: Path) -> None:
    """To read one that is being freed ends the process."""
    program = tmp_path / "clearing.py"
    program.write_text(CLEARING)
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
