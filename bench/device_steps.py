"""Training steps on a GPU whose synchronisations are counted: what programs do to wait for nothing,
and what runs on autograd's own threads."""

import os
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from workloads import WORDS, Decoder, Step, next_word, training

DEVICE = os.environ.get("STEPLENS_BENCH_DEVICE", "cuda")


def _mlp(dropout: float = 0.1) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Dropout(dropout), nn.Linear(256, 256),
        nn.BatchNorm1d(256), nn.ReLU(), nn.Linear(256, 10),
    ).to(DEVICE)  # fmt: skip


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(64, 64, device=DEVICE), torch.randint(0, 10, (64,), device=DEVICE)


def _plain(kind: Callable[..., torch.optim.Optimizer], **options: object) -> Step:
    model, (inputs, targets) = _mlp(), _batch()
    optimizer = kind(model.parameters(), **options)
    return training(model, optimizer, functional.cross_entropy, inputs, targets)


def sgd() -> Step:
    """SGD with momentum."""
    return _plain(torch.optim.SGD, lr=0.01, momentum=0.9)


def foreach() -> Step:
    """Adam over all tensors at once."""
    return _plain(torch.optim.Adam, lr=1e-3, foreach=True)


def fused() -> Step:
    """Adam in one kernel."""
    return _plain(torch.optim.AdamW, lr=1e-3, fused=True)


def capturable() -> Step:
    """Adam whose counts and learning rate lie on the device."""
    rate = torch.tensor(1e-3, device=DEVICE)
    return _plain(torch.optim.Adam, lr=rate, capturable=True)


def copies() -> Step:
    """A new batch at every step, from pinned memory, without waiting; the loss is summed there."""
    model = _mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs = torch.randn(16, 64, 64).pin_memory()
    targets = torch.randint(0, 10, (16, 64)).pin_memory()
    total, place = torch.zeros((), device=DEVICE), [0]

    def step() -> object:
        at = place[0] = (place[0] + 1) % 16
        x = inputs[at].to(DEVICE, non_blocking=True)
        y = targets[at].to(DEVICE, non_blocking=True)
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())
        return model, optimizer, loss

    return step


def transformer() -> Step:
    """A transformer of two layers, AdamW, the gradient's norm clipped."""
    model = Decoder(layers=2).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    tokens = torch.randint(0, WORDS, (4, 65), device=DEVICE)
    return training(model, optimizer, next_word, tokens[:, :-1], tokens[:, 1:], clip=1.0)


def scaled() -> Step:
    """float16 autocast with a GradScaler, unscaled and clipped (the scaler itself waits)."""
    model, (inputs, targets) = _mlp(), _batch()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cuda")

    def step() -> object:
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.float16):
            loss = functional.cross_entropy(model(inputs), targets)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        return model, optimizer, loss

    return step


def in_backward() -> Step:
    """An optimizer for each parameter, which steps in a hook of the backward (on its thread)."""
    model, (inputs, targets) = _mlp(), _batch()
    optimizers = {p: torch.optim.SGD([p], lr=0.01, momentum=0.9) for p in model.parameters()}

    def hook(parameter: torch.Tensor) -> None:
        optimizers[parameter].step()
        optimizers[parameter].zero_grad()

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(hook)

    def step() -> object:
        loss = functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return model, optimizers, loss

    return step


def _checkpointed(reentrant: bool) -> Step:
    first = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Dropout(0.1)).to(DEVICE)
    last = nn.Sequential(nn.Linear(256, 10)).to(DEVICE)
    model, (inputs, targets) = nn.ModuleList([first, last]), _batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> object:
        optimizer.zero_grad()
        batch = inputs.clone().requires_grad_(reentrant)
        hidden = checkpoint(first, batch, use_reentrant=reentrant)
        loss = functional.cross_entropy(last(hidden), targets)
        loss.backward()
        optimizer.step()
        return model, optimizer, loss

    return step


def checkpointed() -> Step:
    """A part recomputed in the backward, on its thread."""
    return _checkpointed(False)


def reentrant() -> Step:
    """A part recomputed by a backward within the backward."""
    return _checkpointed(True)


def penalised() -> Step:
    """A gradient penalty: a graph made by the backward, on its thread."""
    model, (inputs, targets) = _mlp(), _batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> object:
        optimizer.zero_grad()
        points = inputs.clone().requires_grad_()
        loss = functional.cross_entropy(model(points), targets)
        (slope,) = torch.autograd.grad(loss, points, create_graph=True)
        loss = loss + slope.pow(2).sum()
        loss.backward()
        optimizer.step()
        return model, optimizer, loss

    return step


def compiled() -> Step:
    """The model compiled."""
    model, (inputs, targets) = _mlp(), _batch()
    fast = torch.compile(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    return training(fast, optimizer, functional.cross_entropy, inputs, targets)


def graphed() -> Step:
    """The model's forward and backward as CUDA graphs."""
    model, (inputs, targets) = _mlp(0.0), _batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    fast = torch.cuda.make_graphed_callables(model, (inputs,))
    return training(fast, optimizer, functional.cross_entropy, inputs, targets)


def captured() -> Step:
    """The whole step captured in one CUDA graph after three in the open, and replayed, as torch's
    notes on CUDA show it."""
    model, (inputs, targets) = _mlp(0.0), _batch()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        loss = functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()

    def step() -> object:
        graph.replay()
        return model, optimizer, loss

    return step


STEPS: dict[str, Callable[[], Step]] = {
    made.__name__: made
    for made in (
        sgd, foreach, fused, capturable, copies, transformer, scaled, in_backward, checkpointed,
        reentrant, penalised, compiled, graphed, captured,
    )
}  # fmt: skip
