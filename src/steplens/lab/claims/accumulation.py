"""Accumulation and clipping: what happens to gradients between backward and step."""

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from steplens.lab.base import claim


@claim(
    "Two half batches accumulated give the gradient of the whole batch.",
    number="weight gradient {whole} of the batch, {plain} accumulated, {divided} with loss / 2",
    only_if="each mean loss is divided by the number of passes",
    holds=lambda whole, divided: abs(whole - divided) < 1e-5,
    elsewhere=lambda whole, plain: abs(whole - plain) < 1e-5,
    truth="`backward()` adds, a mean loss divides by its own batch only: k passes give k "
    "times the gradient. Divide each loss by k.",
)
def accumulation_equals_a_large_batch():
    x, y, found = torch.tensor([[1.0], [2.0], [3.0], [4.0]]), torch.ones(4, 1), {}
    for name, parts, share in (("whole", 1, 1), ("plain", 2, 1), ("divided", 2, 2)):
        layer = nn.Linear(1, 1, bias=False)
        layer.weight.data.fill_(2)
        for a, b in zip(x.chunk(parts), y.chunk(parts), strict=True):
            (F.mse_loss(layer(a), b) / share).backward()
        found[name] = layer.weight.grad.item()
    return found


@claim(
    "Accumulation with loss / k equals the large batch for every model.",
    number="largest difference of the gradients: {plain} without BatchNorm, {norm} with it",
    only_if="no layer mixes the samples of a batch",
    holds=lambda plain: plain < 1e-5,
    elsewhere=lambda norm: norm < 1e-5,
    truth="BatchNorm sees the small batches and normalises by them. `GroupNorm` and "
    "`LayerNorm` do not mind.",
)
def accumulation_suits_every_model():
    x, found = torch.randn(8, 2), {}
    for name, layer in (("plain", nn.Identity()), ("norm", nn.BatchNorm1d(2))):
        model = nn.Sequential(nn.Linear(2, 2), layer, nn.Tanh())
        for part in x.chunk(2):
            (model(part).mean() / 2).backward()
        whole = torch.autograd.grad(model(x).mean(), model[0].weight)[0]
        found[name] = (model[0].weight.grad - whole).abs().max().round(decimals=4)
    return found


@claim(
    "`clip_grad_norm_` returns the norm after clipping.",
    number="gradient [3, 4] clipped to 1: returned {returned}, left {left}",
    holds=lambda returned, left: abs(returned - left) < 1e-3,
    truth="It returns the norm that was there before: the number worth logging. Below the "
    "limit nothing is changed.",
)
def clipping_returns_the_new_norm():
    w = nn.Parameter(torch.zeros(2))
    w.grad = torch.tensor([3.0, 4.0])
    returned = clip_grad_norm_([w], max_norm=1.0)
    return {"returned": returned, "left": w.grad.norm()}


@claim(
    "Clipping keeps the direction of the gradient.",
    number="gradient [3, 4]: {by_norm} by norm 1, {by_value} by value 1",
    only_if="it is `clip_grad_norm_`, which scales all by one factor",
    holds=lambda by_norm: abs(by_norm[0] / by_norm[1] - 0.75) < 1e-5,
    elsewhere=lambda by_value: abs(by_value[0] / by_value[1] - 0.75) < 1e-5,
    truth="`clip_grad_value_` cuts each number on its own, so that the step points elsewhere.",
)
def clipping_keeps_the_direction():
    w = nn.Parameter(torch.zeros(2))
    w.grad = torch.tensor([3.0, 4.0])
    clip_grad_norm_([w], max_norm=1.0)
    by_norm = w.grad.tolist()
    w.grad = torch.tensor([3.0, 4.0])
    clip_grad_value_([w], clip_value=1.0)
    return {"by_norm": by_norm, "by_value": w.grad}


@claim(
    "Clipping before `backward()` limits the step.",
    number="norm of the gradient at the step: {before} clipped before, {after} clipped after",
    holds=lambda before: before <= 1.001,
    truth="There is nothing to clip yet, and torch does not complain. The order is "
    "`backward()`, `clip_grad_norm_`, `step()`.",
)
def clipping_before_backward_works():
    early, late = nn.Parameter(torch.ones(4)), nn.Parameter(torch.ones(4))
    clip_grad_norm_([early], max_norm=1.0)
    (5 * early + 5 * late).sum().backward()
    clip_grad_norm_([late], max_norm=1.0)
    return {"before": early.grad.norm(), "after": late.grad.norm()}


@claim(
    "Clipping makes the first step of Adam smaller.",
    number="a gradient of 100 moves the weight by {plain}, clipped to 0.01 by {clipped}",
    holds=lambda plain, clipped: clipped < plain - 1e-3,
    truth="Adam divides by the gradient's own size, so a common factor cancels. Clipping "
    "guards Adam against one outlier among many steps; for smaller steps take a smaller rate.",
)
def clipping_shrinks_adams_first_step():
    moved = []
    for max_norm in (1000.0, 0.01):
        w = nn.Parameter(torch.zeros(1))
        w.grad = torch.full((1,), 100.0)
        clip_grad_norm_([w], max_norm)
        optim.Adam([w], lr=0.5).step()
        moved.append(-w.item())
    return {"plain": moved[0], "clipped": moved[1]}


@claim(
    "Clipping repairs a gradient that is infinite.",
    number="gradient [inf, 1] clipped to 1 becomes {clipped}",
    holds=lambda clipped: all(abs(value) <= 1 for value in clipped),
    truth="The norm is infinite, so the factor is 0: infinity becomes NaN and everything else "
    "0. Use `error_if_nonfinite=True`, or skip the step.",
)
def clipping_repairs_infinity():
    w = nn.Parameter(torch.zeros(2))
    w.grad = torch.tensor([torch.inf, 1.0])
    clip_grad_norm_([w], max_norm=1.0)
    return {"clipped": w.grad}
