"""What a program has put in to hear torch's operators hears the same with and without a watch."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import steplens

FIRST_SET = """
import torch, steplens
with steplens.watch(search=False):
    torch.set_default_device("meta")
    print(torch.tensor([1.0]).device, torch.zeros(1).device)
print(torch.tensor([1.0]).device)
"""
STEPS = 14  # beyond the window, too


class Functions(TorchFunctionMode):
    """Notes each torch function that is called."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: Counter[str] = Counter()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.heard[func.__name__] += 1  # of those that are wrapped the mode is given the wrapper
        return func(*args, **(kwargs or {}))


class Operators(TorchDispatchMode):
    """Notes each operator that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.heard[str(func)] += 1
        return func(*args, **(kwargs or {}))


def trained() -> None:
    """Calls that most probes hear: a norm, a dropout, accumulation, clipping, a weight written by
    hand, evaluation, a schedule."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 1)
    )
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 4)
    for step in range(STEPS):
        optimizer.zero_grad()
        for _ in range(2):
            (model(torch.randn(6, 4)) - 1).pow(2).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model[0].weight.copy_(model[0].weight * 0.999)
        if step % 5 == 4:
            model.eval()
            with torch.no_grad():
                model(torch.randn(3, 4))
            model.train()


@contextmanager
def functions() -> Iterator[Callable[[], object]]:
    with Functions() as mode:
        yield lambda: mode.heard


@contextmanager
def operators() -> Iterator[Callable[[], object]]:
    with Operators() as mode:
        yield lambda: mode.heard


@contextmanager
def flops() -> Iterator[Callable[[], object]]:
    with FlopCounterMode(display=False) as mode:
        yield mode.get_total_flops


@contextmanager
def profiler() -> Iterator[Callable[[], object]]:
    with torch.profiler.profile() as profile:
        names = lambda: [event.name for event in profile.events()]  # noqa: E731
        yield lambda: Counter(name for name in names() if "::" in name)  # operators and nodes


@contextmanager
def nested() -> Iterator[Callable[[], object]]:
    """All at once, and a default device, which is a mode too."""
    with Functions() as one, Operators() as other, torch.device("cpu"):
        yield lambda: (one.heard, other.heard)


WAYS = [functions, operators, flops, profiler, nested]


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_the_programs_own_hearers_hear_the_same(way: Any) -> None:
    found: list[object] = []
    for watch in (False, True):
        with way() as heard:
            if watch:
                with steplens.watch(search=False) as lens:
                    trained()
                assert not lens.report.faults
                assert lens.report.steps == STEPS
            else:
                trained()
        found.append(heard())
    assert found[0]
    assert found[0] == found[1]


def test_a_mode_put_in_while_watched_hears_the_same() -> None:
    found: list[object] = []
    for watch in (False, True):
        if watch:
            with steplens.watch(search=False), operators() as heard:
                trained()
        else:
            with operators() as heard:
                trained()
        found.append(heard())
    assert found[0] == found[1]


def test_torch_tensor_heeds_a_default_device_first_set_while_watched() -> None:
    said = subprocess.run(
        [sys.executable, "-c", FIRST_SET], capture_output=True, text=True, timeout=120, check=True
    )
    assert said.stdout.split() == ["meta"] * 3


def test_a_default_device_is_the_programs_alone() -> None:
    with torch.device("meta"):  # tensors that have no values: ours must not be made there
        with steplens.watch(search=False) as lens:
            model = nn.Linear(2, 1, device="cpu")
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(STEPS):
                optimizer.zero_grad()
                model(torch.ones(3, 2, device="cpu")).pow(2).mean().backward()
                optimizer.step()
            assert torch.tensor([1.0]).is_meta
        assert torch.zeros(1).is_meta
    assert not lens.report.faults
    assert lens.report.steps == STEPS


def unpacked(watched: bool) -> list[str]:
    """What a program's hook on saved tensors is asked for, in steps whose graphs hold all that is
    read at a look: activations, losses, indices, singular points, a loss that is not finite."""
    torch.manual_seed(0)
    asked: list[str] = []

    def unpack(kept: torch.Tensor) -> torch.Tensor:
        asked.append(str(tuple(kept.shape)))
        return kept

    def run() -> None:
        words = nn.Embedding(7, 4)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5))
        optimizer = torch.optim.SGD([*words.parameters(), *model.parameters()], lr=0.01)
        target = torch.randint(0, 5, (6,))
        for step in range(STEPS):
            optimizer.zero_grad()
            hooks = torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, unpack)
            with hooks:
                scores = model(words(torch.randint(0, 7, (6,))))
                loss = nn.functional.cross_entropy(scores, target)
                loss = loss + scores.softmax(1).square().mean().sqrt() + scores.exp().log().mean()
                loss = loss + nn.functional.mse_loss(scores[target], torch.zeros(6, 5))
                if step == STEPS - 1:
                    loss = loss + (scores - scores).sqrt().sum() / 0
            loss.backward()
            optimizer.step()

    if watched:
        with steplens.watch(search=False) as lens:
            run()
        assert lens.report.faults == []
    else:
        run()
    return asked


def test_what_a_program_has_packed_is_unpacked_for_its_own_backward_alone() -> None:
    plain = unpacked(watched=False)
    assert len(plain) > 100
    assert unpacked(watched=True) == plain
