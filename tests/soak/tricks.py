"""What programs do besides: each trick is given the running Program and a number."""

import copy
import gc
import io
import pickle
import random
import threading
from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from witness import bits

if TYPE_CHECKING:
    from training import Program


def _model(program: "Program", number: int) -> nn.Module:
    return program.models[number % len(program.models)]


def _first(program: "Program", number: int) -> nn.Parameter:
    return next(p for p in _model(program, number).parameters() if p.is_leaf)


def _optimizer(program: "Program", number: int) -> Any:
    return program.optimizers[number % len(program.optimizers)]


def _gradients(program: "Program", number: int) -> list[torch.Tensor]:
    held = program.owned[number % len(program.owned)]
    return [tensor for tensor in held if tensor.grad is not None]


# -- gradients by hand ------------------------------------------------------------------------


def scale_gradients(program: "Program", number: int) -> None:
    for tensor in _gradients(program, number):
        tensor.grad.mul_(0.5)


def replace_gradients(program: "Program", number: int) -> None:
    for tensor in _gradients(program, number):
        tensor.grad = tensor.grad * 0.5


def drop_gradient(program: "Program", number: int) -> None:
    _first(program, number).grad = None


def noise(program: "Program", number: int) -> None:
    for tensor in _gradients(program, number):
        tensor.grad.add_(torch.randn_like(tensor.grad))


def manual_step(program: "Program", number: int) -> None:
    with torch.no_grad():
        for tensor in _gradients(program, number):
            tensor.sub_(tensor.grad, alpha=0.01)


# -- weights by hand --------------------------------------------------------------------------


def write(program: "Program", number: int) -> None:
    with torch.no_grad():
        _first(program, number).mul_(0.9).add_(0.01)


def write_data(program: "Program", number: int) -> None:
    _first(program, number).data.mul_(0.9)


def assign_data(program: "Program", number: int) -> None:
    tensor = _first(program, number)
    tensor.data = tensor.data.clone() * 0.9


def clamp(program: "Program", number: int) -> None:
    for tensor in _model(program, number).parameters():
        tensor.data.clamp_(-0.5, 0.5)


def fill(program: "Program", number: int) -> None:
    nn.init.normal_(_first(program, number))


def reinitialise(program: "Program", number: int) -> None:
    for module in _model(program, number).modules():
        if isinstance(module, (nn.Linear, nn.LayerNorm)):
            module.reset_parameters()


def reset_statistics(program: "Program", number: int) -> None:
    for module in _model(program, number).modules():
        if isinstance(module, nn.BatchNorm1d):
            module.reset_running_stats()


def average(program: "Program", number: int) -> None:
    model = _model(program, number)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for mine, other in zip(twin.parameters(), model.parameters(), strict=True):
            mine.lerp_(other, 0.1)
    program.averages.append(twin)


def swa(program: "Program", number: int) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(_model(program, number))
    averaged.update_parameters(_model(program, number))
    torch.optim.swa_utils.update_bn([program.x, program.y], averaged)
    program.log.append(("averaged", bits(next(averaged.parameters()))))


def swap(program: "Program", number: int) -> None:
    """Evaluate with other weights and put the own ones back."""
    model = _model(program, number)
    own = copy.deepcopy(model.state_dict())
    model.load_state_dict({name: value * 0.5 for name, value in own.items()})
    program.look(number, "eval-no-grad")
    model.load_state_dict(own)


def own_load(program: "Program", number: int) -> None:
    model = _model(program, number)
    model.load_state_dict(model.state_dict())


def non_finite(program: "Program", number: int) -> None:
    with torch.no_grad():
        _first(program, number).view(-1)[0] = float("nan")


# -- freezing ---------------------------------------------------------------------------------


def freeze(program: "Program", number: int) -> None:
    _model(program, number).requires_grad_(False)


def thaw(program: "Program", number: int) -> None:
    for tensor in _model(program, number).parameters():
        if tensor.is_leaf:
            tensor.requires_grad_(True)


def freeze_first(program: "Program", number: int) -> None:
    _first(program, number).requires_grad = False


# -- copies, files ----------------------------------------------------------------------------


def deepcopy(program: "Program", number: int) -> None:
    twin = copy.deepcopy(_model(program, number))
    program.log.append(("twin", bits(next(twin.parameters()))))


def pickle_it(program: "Program", number: int) -> None:
    data = pickle.dumps(_model(program, number).state_dict())
    program.log.append(("pickled", len(data)))


def save_load(program: "Program", number: int) -> None:
    model, optimizer, file = _model(program, number), _optimizer(program, number), io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    program.log.append(("saved", file.tell()))
    file.seek(0)
    read = torch.load(file, weights_only=False)
    model.load_state_dict(read["model"])
    optimizer.load_state_dict(read["optimizer"])


def optimizer_load(program: "Program", number: int) -> None:
    optimizer = _optimizer(program, number)
    optimizer.load_state_dict(optimizer.state_dict())


# -- graphs -----------------------------------------------------------------------------------


def keep_graph(program: "Program", number: int) -> None:
    program.kept.append(program.loss_of(program.forward(number)))


def autograd_grad(program: "Program", number: int) -> None:
    x = program.x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(program.loss_of(program.forward(number, x)), x)
    program.log.append(("slope", bits(slope)))


def detach(program: "Program", number: int) -> None:
    program.backward(program.loss_of(program.forward(number + 1, program.forward(number).detach())))


def requires_grad_input(program: "Program", number: int) -> None:
    x = program.x.clone().requires_grad_()
    program.backward(program.loss_of(program.forward(number, x)))
    program.log.append(("slope", bits(x.grad)))


def half_backward(program: "Program", number: int) -> None:
    """A backward that fails on its way."""

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, *slopes: torch.Tensor) -> Any:
            raise ValueError("half way")

    program.backward(program.loss_of(program.forward(number, Fails.apply(program.forward(number)))))


def shared(program: "Program", number: int) -> None:
    """One model in the loss twice."""
    out = program.forward(number) + program.forward(number, program.y)
    program.backward(program.loss_of(out))


def saved_hooks(program: "Program", number: int) -> None:
    with torch.autograd.graph.save_on_cpu():
        program.run_pass(number, "plain")


def anomaly(program: "Program", number: int) -> None:
    with torch.autograd.detect_anomaly(check_nan=False):
        program.run_pass(number, "plain")


def vmap(program: "Program", number: int) -> None:
    weight = _first(program, number).detach()
    out = torch.func.vmap(lambda row: row.sum() * weight.sum())(program.x)
    program.log.append(("vmap", bits(out)))


# -- the rest ---------------------------------------------------------------------------------


def seed(program: "Program", number: int) -> None:
    torch.manual_seed(number)


def draw(program: "Program", number: int) -> None:
    program.log.append(("drawn", (random.random(), float(numpy.random.rand()))))
    program.x = torch.randn_like(program.x)


def raises(program: "Program", number: int) -> None:
    raise ZeroDivisionError("the program's own")


def collect(program: "Program", number: int) -> None:
    program.kept.clear()
    program.averages.clear()
    gc.collect()


def add_group(program: "Program", number: int) -> None:
    number %= len(program.optimizers)
    if isinstance(program.optimizers[number], torch.optim.LBFGS):
        return
    held = {id(tensor) for tensor in program.owned[number]}
    fresh = [p for m in program.models for p in m.parameters() if id(p) not in held and p.is_leaf]
    if fresh and program.schedules[number] is None:
        program.optimizers[number].add_param_group({"params": fresh, "lr": 0.01})
        program.owned[number] = [*program.owned[number], *fresh]


def new_optimizer(program: "Program", number: int) -> None:
    number %= len(program.optimizers)
    program.optimizers[number] = torch.optim.SGD(program.owned[number], 0.01, momentum=0.5)
    program.schedules[number] = None


def state_write(program: "Program", number: int) -> None:
    for held in _optimizer(program, number).state.values():
        for value in held.values():
            if isinstance(value, torch.Tensor) and value.dim():
                value.zero_()


def lr(program: "Program", number: int) -> None:
    for group in _optimizer(program, number).param_groups:
        group["lr"] = 0.05


def loader(program: "Program", number: int) -> None:
    data = TensorDataset(program.x, program.y)
    for x, y in DataLoader(data, batch_size=2, shuffle=True):
        program.x, program.y = x, y
        program.run_pass(number, "plain")
        break
    program.x, program.y = data.tensors


def thread(program: "Program", number: int) -> None:
    other = threading.Thread(target=program.run_pass, args=(number, "plain"))
    other.start()
    other.join()


def print_it(program: "Program", number: int) -> None:
    program.log.append(("printed", repr(_model(program, number)) + repr(_first(program, number))))


def apply(program: "Program", number: int) -> None:
    _model(program, number).apply(lambda module: None).double().float()
