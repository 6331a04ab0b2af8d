"""Watching leaves no trace, and a program's objects live and die as they would without it."""

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

import steplens
from soak.standing import changed, standing

SOAK = bool(os.environ.get("STEPLENS_SOAK"))


class Net(nn.Module):
    """Two layers, a norm and a dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(4)
        self.drop, self.last = nn.Dropout(0.2), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(self.norm(self.first(x)).relu()))


class Mine:
    """What a program holds through a watch."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = Net()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 2)
        self.loader = DataLoader(TensorDataset(torch.randn(8, 4)), batch_size=4, shuffle=True)
        self.loss = torch.zeros(())

    def train(self) -> None:
        for (x,) in self.loader:
            self.optimizer.zero_grad()
            self.loss = self.model(x).pow(2).mean()
            self.loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
        self.schedule.step()
        self.model.eval()
        with torch.no_grad():
            self.model(torch.randn(4, 4))
        self.model.train()

    def things(self) -> list[Any]:
        return [
            self.model, *self.model.modules(), *self.model.parameters(), *self.model.buffers(),
            *(p.grad for p in self.model.parameters()), self.optimizer, self.schedule, self.loader,
            self.loss, *(v for state in self.optimizer.state.values() for v in state.values()),
        ]  # fmt: skip

    def bearing(self) -> list[Any]:
        """All that can hang on them: attributes, hooks, and how many hold them."""
        return [
            (
                type(thing),
                sorted(vars(thing)) if hasattr(thing, "__dict__") else [],
                sorted((k, len(v)) for k, v in vars(thing).items() if "hook" in k and v)
                if isinstance(thing, (nn.Module, torch.optim.Optimizer))
                else [],
                getattr(thing, "_backward_hooks", None) or None,
                getattr(thing, "_post_accumulate_grad_hooks", None) or None,
                sys.getrefcount(thing),
                weakref.getweakrefcount(thing),
            )
            for thing in self.things()
        ]


def block(mine: Mine) -> None:
    with steplens.watch(search=False):
        mine.train()


def block_without_lines(mine: Mine) -> None:
    with steplens.watch(search=False, lines=0):
        mine.train()


def given(mine: Mine) -> None:
    with steplens.watch(mine.model, mine.optimizer):
        mine.train()


def searched(mine: Mine) -> None:
    with steplens.watch():
        mine.train()


def exception(mine: Mine) -> None:
    with pytest.raises(ZeroDivisionError), steplens.watch(search=False):  # noqa: PT012
        mine.train()
        mine.loss = mine.model(torch.randn(4, 4)).mean() / (1 // 0)


def interrupt_in_a_forward(mine: Mine) -> None:
    handle = mine.model.drop.register_forward_hook(lambda *_: (_ for _ in ()).throw(SystemExit))
    with pytest.raises(SystemExit), steplens.watch(search=False):
        mine.train()
    handle.remove()
    mine.train()


def nested(mine: Mine) -> None:
    with steplens.watch(search=False):
        mine.train()
        with steplens.watch(search=False, lines=2):
            mine.train()
        mine.train()


def crossed(mine: Mine) -> None:
    first, second = steplens.watch(search=False), steplens.watch(search=False)
    first.__enter__()
    second.__enter__()
    mine.train()
    first.__exit__(None, None, None)
    mine.train()
    second.__exit__(None, None, None)


def exception_in_a_nested_one(mine: Mine) -> None:
    with pytest.raises(ZeroDivisionError), steplens.watch(search=False):  # noqa: PT012
        with steplens.watch(search=False):
            mine.train()
            mine.loss = mine.loss / (1 // 0)


def in_a_thread(mine: Mine) -> None:
    thread = threading.Thread(target=block, args=(mine,))
    thread.start()
    thread.join()


def a_generator_let_go(mine: Mine) -> None:
    def steps() -> Iterator[None]:
        with steplens.watch(search=False):
            mine.train()
            yield

    made = steps()
    next(made)
    del made


WAYS: list[Callable[[Mine], None]] = [
    block, block_without_lines, given, searched, exception, interrupt_in_a_forward, nested,
    crossed, exception_in_a_nested_one, in_a_thread, a_generator_let_go,
]  # fmt: skip


def ours() -> Counter[str]:
    """The instances of our own classes that are alive."""
    gc.collect()
    kinds = (type(thing) for thing in gc.get_objects())
    return Counter(f"{k.__module__}.{k.__name__}" for k in kinds if _is_ours(k))


def _is_ours(kind: type) -> bool:
    module = kind.__module__
    return isinstance(module, str) and module.startswith("steplens.")


@pytest.fixture(scope="module")
def warm() -> None:
    """What is imported once has been imported."""
    block(Mine())


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_after_a_watch_nothing_is_left(way: Callable[[Mine], None]) -> None:
    mine = Mine()
    mine.train()
    before, alive, bearing = standing(), ours(), mine.bearing()
    way(mine)
    assert ours() == alive
    assert mine.bearing() == bearing
    assert changed(before, standing()) == []


def test_watches_in_a_row_leave_no_trace() -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.randn(3, 2)

    def step() -> None:
        with steplens.watch(search=False, lines=1):
            optimizer.zero_grad()
            model(x).mean().backward()
            optimizer.step()

    step()
    before, alive, count = standing(), ours(), sys.getrefcount(model)
    objects = len(gc.get_objects())
    for _ in range(1000 if SOAK else 20):
        step()
    assert ours() == alive
    assert sys.getrefcount(model) == count
    assert changed(before, standing()) == []
    assert len(gc.get_objects()) - objects < 500


def test_what_an_optimizer_steps_is_given_no_dict() -> None:
    """A tensor that bears a ``__dict__`` is slower to call a method on, for as long as it lives.
    Buffers may get an empty one: ``copy.deepcopy`` of a tensor reads its attributes."""
    mine = Mine()
    with steplens.watch():
        for _ in range(6):
            mine.train()
        tensors = list(mine.model.parameters())
        tensors += [parameter.grad for parameter in mine.model.parameters()]
        for state in mine.optimizer.state.values():
            tensors += state.values()
        assert not [held for held in map(gc.get_referents, tensors) if dict in map(type, held)]
    tensors[0].require_grad = False  # as such a dict would show
    assert dict in map(type, gc.get_referents(tensors[0]))


# -- when objects die -------------------------------------------------------------------------


class Token:
    """Lies in a graph node's metadata and dies with the node."""


class Deaths:
    """Notes in order which of a program's objects have died."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def of(self, name: str, thing: Any) -> None:
        weakref.finalize(thing, self.log.append, name).atexit = False

    def of_node(self, name: str, tensor: torch.Tensor) -> None:
        token = Token()
        self.of(name, token)
        tensor.grad_fn.metadata["test"] = token

    def now(self, name: str) -> None:
        self.log.append(f"-- {name}")


def a_step(deaths: Deaths) -> None:
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for name, thing in {"model": model, "first": model.first, "optimizer": optimizer}.items():
        deaths.of(name, thing)
    for number in range(3):
        x = torch.randn(4, 4)
        out = model(x)
        loss = out.pow(2).mean()
        for name, tensor in {"x": x, "out": out, "loss": loss}.items():
            deaths.of(f"{name} {number}", tensor)
        deaths.of_node(f"out's node {number}", out)
        deaths.of_node(f"loss's node {number}", loss)
        loss.backward()
        deaths.now("backward")
        optimizer.step()
        deaths.now("step")
        deaths.of(f"gradient {number}", model.last.weight.grad)
        optimizer.zero_grad()
        deaths.now("clear")
        del x, out
        deaths.now("x and out deleted")
    del loss
    deaths.now("loss deleted")
    del optimizer
    gc.collect()
    deaths.now("optimizer deleted")
    weight = model.last.weight
    deaths.of("weight", weight)
    del model
    gc.collect()
    deaths.now("model deleted")
    del weight
    deaths.now("weight deleted")


def graphs(deaths: Deaths) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    x = torch.randn(4, 4, requires_grad=True)
    for number in range(2):
        loss = model(x).mean()
        deaths.of_node(f"kept {number}", loss)
        loss.backward(retain_graph=True)
        loss.backward()
        deaths.now("backward twice")
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        deaths.of_node(f"slope {number}", slope)
        deaths.of(f"slope {number}", slope)
        slope.pow(2).mean().backward()
        deaths.now("penalty")
        held = checkpoint(model, x, use_reentrant=False)
        deaths.of(f"held {number}", held)
        held.mean().backward()
        deaths.now("checkpoint")
        model.eval()
        idle = model(x)
        deaths.of_node(f"idle {number}", idle)
        model.train()
        with torch.no_grad():
            deaths.of(f"unrecorded {number}", model(x))
        deaths.now("evaluated")
        try:
            lost = model(x)
            deaths.of_node(f"lost {number}", lost)
            torch.cat([lost, lost[:, :0].sum()])
        except RuntimeError:
            deaths.now("raised")
        del lost
        deaths.now("lost deleted")


def others(deaths: Deaths) -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    loader = DataLoader(TensorDataset(torch.randn(8, 4)), batch_size=4)
    for name, thing in {"loader": loader, "schedule": schedule, "optimizer": optimizer}.items():
        deaths.of(name, thing)
    for number, (x,) in enumerate(loader):
        deaths.of(f"batch {number}", x)

        def closure(x: torch.Tensor = x) -> torch.Tensor:
            model.zero_grad()
            loss = model(x).pow(2).mean()
            deaths.of_node("closure's", loss)
            loss.backward()
            return loss

        deaths.of(f"closure {number}", closure)
        optimizer.step(closure)
        schedule.step()
        deaths.now("step")
    del x, closure
    deaths.now("batch deleted")
    state = model.state_dict()
    deaths.of("a saved weight", state["weight"])
    model.load_state_dict(state)
    del state
    deaths.now("state deleted")
    del loader, schedule, optimizer
    gc.collect()
    deaths.now("all deleted")


@pytest.mark.parametrize("program", [a_step, graphs, others], ids=lambda each: each.__name__)
@pytest.mark.parametrize("lines", [0, 10])
def test_objects_die_when_they_would_have_died(
    program: Callable[[Deaths], None], lines: int
) -> None:
    plain, watched = Deaths(), Deaths()
    gc.collect()
    gc.disable()
    try:
        torch.manual_seed(0)
        program(plain)
        torch.manual_seed(0)
        with steplens.watch(search=False, lines=lines) as lens:
            program(watched)
    finally:
        gc.enable()
    assert lens.report.faults == []
    assert watched.log == plain.log
    assert len([name for name in plain.log if not name.startswith("--")]) > 8


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_loss_listened_to_leaves_no_mode_behind(by_hand: bool) -> None:
    """A term without a graph has two steps listened to, until the next step or forward begins."""
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    modes = []
    with steplens.watch() as lens:
        for _ in range(8):
            made = model(torch.randn(8, 4))
            modes.append(len(torch.overrides._get_current_function_mode_stack()))
            model.zero_grad()
            (made.square().mean() + (model.weight > 0).float().mean()).backward()
            if by_hand:
                for parameter in model.parameters():
                    assert parameter.grad is not None
                    parameter.data.add_(parameter.grad, alpha=-0.01)
            else:
                optimizer.step()
    assert modes == [0, 1, 1, 0, 0, 0, 0, 0]
    assert [finding.code for finding in lens.report.findings] == ["SL214"]


def test_graphs_that_outlive_the_watch_bear_no_mark_of_it() -> None:
    """Their losses and outputs are gone; what was computed from them keeps the graphs."""
    kept: list[torch.Tensor] = []
    with steplens.watch(search=False):
        model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for step in range(3):
            loss = model(torch.randn(4, 3)).mean()
            kept.append(loss * 2)
            loss.backward(retain_graph=True)
            optimizer.step()
            optimizer.zero_grad()
            model.train(step % 2 == 0)
        del loss
    for tensor in kept:
        nodes = [tensor.grad_fn]
        for node in nodes:
            assert node is not None
            assert not [key for key in node.metadata if key.startswith("steplens")]
            nodes += [child for child, _ in node.next_functions if child is not None]


COMPILED_LATER = """
import torch
from torch import nn

import steplens

net = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1))


@torch.compile(fullgraph=True, backend="eager")
def run(x):
    return torch.dropout(net(x), 0.5, True) + torch.tensor(1.0)


with steplens.watch(lines=LINES):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    if INSIDE:
        run(torch.ones(2, 4))
print(tuple(run(torch.ones(3, 4)).shape))
"""


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("lines", [0, 10])
def test_the_compiler_knows_torch_though_it_is_imported_while_watching(
    lines: int, inside: bool
) -> None:
    """In processes of their own: it is imported once, when the first optimizer is made."""
    program = COMPILED_LATER.replace("LINES", str(lines)).replace("INSIDE", str(inside))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("(3, 1)\n", 0), done.stderr[-2000:]
