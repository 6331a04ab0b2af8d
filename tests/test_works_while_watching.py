"""What programs do with models, loaders and processes works while steplens watches, and gives what
it gives without."""

import copy
import io
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.multiprocessing
from torch import nn
from torch.utils.data import DataLoader, Dataset

import steplens


class Net(nn.Module):
    """Two layers, a norm and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.first(x)).relu())


def trained(model: nn.Module, steps: int = 2) -> tuple[torch.optim.Optimizer, list[float]]:
    """Train a model, or what a compiler made of it."""
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=0.01), list[float]()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model(torch.randn(5, 4)).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return optimizer, losses


def numbers(model: nn.Module) -> list[Any]:
    """All that a model holds, as plain numbers."""
    return [(name, tensor.tolist()) for name, tensor in model.state_dict().items()]


def saved() -> object:
    model = Net()
    optimizer, losses = trained(model)
    found: list[Any] = [losses]
    for thing in (model, optimizer, model.state_dict(), optimizer.state_dict()):
        file = io.BytesIO()
        torch.save(thing, file)
        found.append(file.getvalue())  # the very bytes
    loaded = torch.load(io.BytesIO(found[1]), weights_only=False)
    other, _ = trained(loaded)
    other.load_state_dict(torch.load(io.BytesIO(found[4])))
    return found, numbers(loaded), sorted(vars(loaded))


def pickled() -> object:
    model = Net()
    optimizer, losses = trained(model)
    again, other = pickle.loads(pickle.dumps((model, optimizer)))
    assert other.param_groups[0]["params"][0] is next(again.parameters())
    return losses, numbers(again), sorted(vars(again)), sorted(vars(other)), trained(again)[1]


def copied() -> object:
    model = Net()
    optimizer, losses = trained(model)
    again, other = copy.deepcopy((model, optimizer))
    other.step()
    weight = copy.deepcopy(model.last.weight)
    return losses, numbers(again), sorted(vars(again)), sorted(vars(other)), vars(weight)


def compiled() -> object:
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model = Net()
    losses = trained(torch.compile(model, backend="eager"))[1]
    return losses, numbers(model), torch._dynamo.utils.counters["stats"]["unique_graphs"]


def compiled_whole() -> object:
    torch._dynamo.reset()
    model = Net()
    whole = torch.compile(model, backend="eager", fullgraph=True)
    losses = trained(whole)[1]

    @torch.compile(backend="eager", fullgraph=True)
    def through(x: torch.Tensor) -> torch.Tensor:
        return model(x).softmax(0) + nn.functional.dropout(x, 0.5).sum()

    return losses, numbers(model), through(torch.ones(2, 4)).tolist()


def exported() -> object:
    model = Net().eval()
    program = torch.export.export(model, (torch.ones(3, 4),))
    return program.graph_module.code, program.module()(torch.ones(3, 4)).tolist()


def functional() -> object:
    model = Net().eval()
    weights = dict(model.named_parameters())

    def loss(weights: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(model, weights, (x[None],)).pow(2).mean()

    x = torch.randn(3, 4)
    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, x)
    slope = torch.func.jacrev(lambda x: model(x))(x)
    curve = torch.func.hessian(lambda x: model(x).sum())(x[:1])
    _, along = torch.func.jvp(lambda x: model(x), (x,), (torch.ones_like(x),))
    many = [Net() for _ in range(2)]
    stacked, buffers = torch.func.stack_module_state(many)
    held = {name: tensor.shape for name, tensor in (stacked | buffers).items()}
    return [v.tolist() for v in each.values()], slope.tolist(), curve.tolist(), along.tolist(), held


def scripted() -> object:
    model = Net().eval()
    traced, script = torch.jit.trace(model, torch.ones(2, 4)), torch.jit.script(model)
    graphs = traced.inlined_graph, script.inlined_graph
    kinds = [[node.kind() for node in graph.nodes()] for graph in graphs]
    return kinds, traced(torch.ones(2, 4)).tolist(), script(torch.ones(2, 4)).tolist()


def swapped() -> object:
    """Modules whose parameters are converted and loaded by swapping."""
    model = Net()
    losses = trained(model)[1]
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        first = model.first.weight
        model.double()
        model.load_state_dict({name: tensor + 1 for name, tensor in model.state_dict().items()})
        assert model.first.weight is first
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    return losses, numbers(model.float()), trained(model)[1]


def named() -> object:
    """Torch's functions with their arguments by name."""
    file = io.BytesIO()
    torch.save(obj=Net().state_dict(), f=file)
    rows = nn.functional.embedding(input=torch.ones(2, 3).long(), weight=torch.ones(4, 2))
    whole = torch.full_like(input=torch.ones(2).long(), fill_value=2)
    model = Net()
    model.load_state_dict(state_dict=Net().state_dict(), strict=True)
    return rows.tolist(), whole.tolist(), trained(model)[1]


class Noise(Dataset[torch.Tensor]):
    """Items drawn by the workers' own generators."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, place: int) -> torch.Tensor:
        return torch.randn(2) + place


def loaded(how: str, workers: int) -> object:
    loader = DataLoader(
        Noise(), batch_size=2, shuffle=True, num_workers=workers,
        multiprocessing_context=how,
    )  # fmt: skip
    return [[batch.tolist() for batch in loader] for _ in range(workers)]


def child(model: nn.Module, x: torch.Tensor, out: Any) -> None:
    """In a process of its own: train the model that was sent."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    losses = trained(model)[1]
    out.put((losses, numbers(model), x.tolist(), torch.is_grad_enabled()))


def started(how: str) -> object:
    context = torch.multiprocessing.get_context(how)
    out = context.SimpleQueue()
    process = context.Process(target=child, args=(Net(), torch.randn(2), out))
    process.start()
    found = out.get()
    process.join()
    return found, process.exitcode


PROGRAMS: dict[str, Callable[[], object]] = {
    "torch.save": saved, "pickle": pickled, "deepcopy": copied, "torch.compile": compiled,
    "fullgraph": compiled_whole, "torch.export": exported, "torch.func": functional,
    "torch.jit": scripted, "swap_tensors": swapped, "arguments by name": named,
    "workers forked": lambda: loaded("fork", 2),
    "workers spawned": lambda: loaded("spawn", 1), "forked": lambda: started("fork"),
    "spawned": lambda: started("spawn"),
}  # fmt: skip
PLAIN = {  # the same without a process that imports torch anew
    "workers spawned": lambda: loaded("fork", 1), "spawned": lambda: started("fork"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_programs_do_gives_the_same_while_watching(name: str) -> None:
    torch.manual_seed(0)
    plain = PLAIN.get(name, PROGRAMS[name])()
    torch.manual_seed(0)
    with steplens.watch(search=False) as lens:
        seen = PROGRAMS[name]()
    assert seen == plain
    assert lens.report.faults == []
    assert multiprocessing.active_children() == []
