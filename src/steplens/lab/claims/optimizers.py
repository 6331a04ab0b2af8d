"""What an optimizer remembers, how far its first step goes, and what a re-init leaves in it."""

import copy

import torch
import torch.nn.functional as F
from torch import nn, optim

from steplens.lab.base import claim
from steplens.lab.helpers import TestModel, X, Y


@claim(
    "The moments of Adam outlive the values they were made for.",
    number="first step {fresh}; after `reset()` the same gradients give {stale}",
    holds=lambda fresh, stale: abs(fresh - 0.5) < 1e-4 and abs(stale - fresh) > 0.01,
    truth="Writing the weights anew leaves the optimizer's state as it is. In the reference "
    "notebook the last weight is 0.5174, and not 0.5, for this reason: make the optimizer anew "
    "with the weights.",
)
def moments_outlive_values():
    model = TestModel()
    optimizer = optim.Adam(model.parameters(), lr=0.5)
    F.mse_loss(model(X), Y).backward()
    optimizer.step()
    fresh = 1 - model.mlp.weight[0, 1].item()
    model.reset()
    F.mse_loss(model(X), Y).backward()
    optimizer.step()
    return {"fresh": fresh, "stale": 1 - model.mlp.weight[0, 1].item()}


@claim(
    "An optimizer made anew begins without the old moments.",
    number="step {fresh} by the first, {again} by a new one after `reset()`",
    holds=lambda fresh, again: fresh == again,
    truth="The state lives in the optimizer. A new one has none, so its first step is a first "
    "step.",
)
def a_new_optimizer_forgets():
    model, steps = TestModel(), []
    for _ in range(2):
        model.reset()
        optimizer = optim.Adam(model.parameters(), lr=0.5)
        model.zero_grad()
        F.mse_loss(model(X), Y).backward()
        optimizer.step()
        steps.append(1 - model.mlp.weight[0, 1].item())
    return {"fresh": steps[0], "again": steps[1]}


@claim(
    "`model.load_state_dict()` resets the optimizer too.",
    number="steps counted by Adam: {before} before the load, {after} after it",
    holds=lambda after: after == 0,
    truth="Loading copies values into the same parameters. Step counts and moments stay: load "
    "the optimizer's own `state_dict` with the model's, or make a new one.",
)
def loading_a_model_resets_the_optimizer():
    model = TestModel()
    optimizer, saved = optim.Adam(model.parameters()), copy.deepcopy(model.state_dict())
    F.mse_loss(model(X), Y).backward()
    optimizer.step()
    before = optimizer.state[model.mlp.weight]["step"].item()
    model.load_state_dict(saved)
    return {"before": before, "after": optimizer.state[model.mlp.weight]["step"]}


@claim(
    "The first step of Adam moves a weight by the learning rate, whatever the gradient.",
    number="lr 0.5: gradients 4, 0.004, 1e-8 move it by {large}, {small}, {tiny}",
    only_if="the gradient is far above `eps` (1e-8)",
    holds=lambda large, small: abs(large - 0.5) < 1e-4 and abs(small - 0.5) < 1e-4,
    elsewhere=lambda tiny: abs(tiny - 0.5) < 1e-4,
    truth="The first moment over the root of the second is the gradient's sign. A gradient "
    "near `eps` is damped, and only there.",
)
def adam_first_step_is_lr():
    moved = []
    for gradient in (4.0, 0.004, 1e-8):
        w = nn.Parameter(torch.zeros(1))
        w.grad = torch.full((1,), gradient)
        optim.Adam([w], lr=0.5).step()
        moved.append(-w.item())
    return {"large": moved[0], "small": moved[1], "tiny": moved[2]}


@claim(
    "The first step of SGD is the learning rate times the gradient, with momentum too.",
    number="lr 0.5, gradient 4: {plain} without momentum, {momentum} with it",
    holds=lambda plain, momentum: plain == momentum == 2.0,
    truth="The momentum buffer begins as the gradient itself. From the second step on it adds "
    "up, to ten times the step for a momentum of 0.9.",
)
def sgd_first_step_is_lr_times_gradient():
    moved = []
    for momentum in (0.0, 0.9):
        w = nn.Parameter(torch.zeros(1))
        w.grad = torch.full((1,), 4.0)
        optim.SGD([w], lr=0.5, momentum=momentum).step()
        moved.append(-w.item())
    return {"plain": moved[0], "momentum": moved[1]}


@claim(
    "The first step of RMSprop is the learning rate, as Adam's is.",
    number="lr 0.5: a gradient of 4 moves the weight by {moved}",
    holds=lambda moved: abs(moved - 0.5) < 1e-3,
    truth="It is ten times the learning rate: the running square begins at 0 and has taken in "
    "one hundredth of the first gradient's, with no correction. A warm-up, or a small rate, is "
    "wise.",
)
def rmsprop_first_step_is_lr():
    w = nn.Parameter(torch.zeros(1))
    w.grad = torch.full((1,), 4.0)
    optim.RMSprop([w], lr=0.5).step()
    return {"moved": -w.item()}


@claim(
    "Adagrad's steps shrink although the gradient stays the same.",
    number="lr 0.5, gradient 4 each time: steps {first}, {second}, {third}",
    holds=lambda first, second, third: first > second > third,
    truth="It divides by the root of the sum of all squares so far: the n-th step for an even "
    "gradient is lr over the root of n. The first is lr.",
)
def adagrad_steps_shrink():
    w = nn.Parameter(torch.zeros(1))
    optimizer, moved = optim.Adagrad([w], lr=0.5), []
    for _ in range(3):
        before = w.item()
        w.grad = torch.full((1,), 4.0)
        optimizer.step()
        moved.append(before - w.item())
    return {"first": moved[0], "second": moved[1], "third": moved[2]}


@claim(
    "`Adam(weight_decay=0.1)` and `AdamW(weight_decay=0.1)` do the same.",
    number="weight 10 with gradient 1, lr 0.1: {adam} by Adam, {adamw} by AdamW",
    holds=lambda adam, adamw: abs(adam - adamw) < 1e-4,
    truth="Adam adds the decay to the gradient and then normalises it away; AdamW takes it "
    "off the weight. In Adam a larger decay need not mean a larger pull.",
)
def adam_decays_as_adamw_does():
    made = []
    for kind in (optim.Adam, optim.AdamW):
        w = nn.Parameter(torch.full((1,), 10.0))
        w.grad = torch.ones(1)
        kind([w], lr=0.1, weight_decay=0.1).step()
        made.append(w.item())
    return {"adam": made[0], "adamw": made[1]}


@claim(
    "An optimizer goes on with the old layer after the model got a new one.",
    number="moved by a step: the new layer {new}, the old one {old}",
    holds=lambda new, old: new == 0 < old,
    truth="It holds tensors, not names. After `model.head = ...` it trains a layer that "
    "nobody uses (if that still has a gradient) and never the new one. Make the optimizer "
    "last.",
)
def an_optimizer_keeps_the_old_layer():
    model = nn.ModuleDict({"head": nn.Linear(1, 1)})
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    old, model["head"] = model["head"], nn.Linear(1, 1)
    before = torch.stack([old.weight, model["head"].weight])
    (old(torch.ones(1, 1)) + model["head"](torch.ones(1, 1))).sum().backward()
    optimizer.step()
    moved = before - torch.stack([old.weight, model["head"].weight])
    return {"old": moved[0].item(), "new": moved[1].item()}


@claim(
    "A parameter with `requires_grad=False` is left alone by the optimizer.",
    number="moved after freezing: {cleared} with its gradient cleared, {kept} with it kept",
    only_if="its gradient is `None`",
    holds=lambda cleared: cleared == 0,
    elsewhere=lambda kept: kept == 0,
    truth="The optimizer looks at `.grad` alone. A part frozen in mid-training keeps its last "
    "gradient and goes on moving by it: clear it when you freeze.",
)
def a_frozen_parameter_stays():
    moved = []
    for keep in (False, True):
        w = nn.Parameter(torch.ones(1))
        w.sum().backward()
        w.requires_grad_(False)
        w.grad = w.grad if keep else None
        optim.SGD([w], lr=0.5).step()
        moved.append(1 - w.item())
    return {"cleared": moved[0], "kept": moved[1]}
