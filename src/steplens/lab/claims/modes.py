"""What `train()` and `eval()` switch, and what they leave alone."""

import torch
import torch.nn.functional as F
from torch import nn, optim

from steplens.lab.base import claim
from steplens.lab.helpers import TestModel, X, Y, nodes


@claim(
    "`model.eval()` turns Dropout off.",
    number="{train} zeros of 1000 in train mode, {evaluation} in eval mode",
    holds=lambda train, evaluation: evaluation == 0 < train,
    truth="In eval mode `nn.Dropout` hands its input on as it is and draws no random number.",
    note=1,
)
def eval_turns_dropout_off():
    dropout = nn.Dropout(0.3)
    x = torch.ones(1000)
    train = (dropout.train()(x) == 0).sum()
    evaluation = (dropout.eval()(x) == 0).sum()
    return {"train": train, "evaluation": evaluation}


@claim(
    "`model.eval()` makes BatchNorm stop updating its mean and variance.",
    number="running mean {before} -> {after} by a batch with mean 10",
    holds=lambda before, after: before == after,
    truth="In eval mode BatchNorm normalises with its running statistics and does not write them.",
    note=2,
)
def eval_freezes_running_statistics():
    norm = nn.BatchNorm1d(1).eval()
    before = norm.running_mean.clone()
    norm(torch.tensor([[8.0], [12.0]]))
    return {"before": before, "after": norm.running_mean}


@claim(
    "`model.eval()` still computes gradients, only does no backward pass.",
    number="weight gradient {gradient} after `backward()` in eval mode",
    holds=lambda gradient: gradient is None,
    truth="`eval()` switches dropout, norms and their like, nothing else: the forward builds "
    "its graph and `backward()` runs it. What stops the backward pass is `torch.no_grad()`.",
    note=3,
)
def eval_skips_the_backward_pass():
    model = TestModel().eval()
    loss = F.mse_loss(model(X), Y)
    loss.backward()
    return {"gradient": model.mlp.weight.grad}


@claim(
    "`model.train()` turns Dropout on.",
    number="{evaluation} zeros of 1000 in eval mode, {train} after `train()`",
    holds=lambda train, evaluation: evaluation == 0 < train,
    truth="`train()` undoes `eval()`. A module begins in train mode, so it is needed only "
    "after an `eval()`.",
    note=4,
)
def train_turns_dropout_on():
    dropout = nn.Dropout(0.3).eval()
    x = torch.ones(1000)
    evaluation = (dropout(x) == 0).sum()
    dropout.train()
    return {"evaluation": evaluation, "train": (dropout(x) == 0).sum()}


@claim(
    "`model.train()` makes BatchNorm go on updating its mean and variance.",
    number="running mean {frozen} in eval mode, {moved} after `train()`",
    holds=lambda frozen, moved: moved != frozen,
    truth="In train mode each forward moves the running statistics, with or without a "
    "backward pass or a step.",
    note=5,
)
def train_resumes_running_statistics():
    norm = nn.BatchNorm1d(1).eval()
    x = torch.tensor([[8.0], [12.0]])
    norm(x)
    frozen = norm.running_mean.clone()
    norm.train()(x)
    return {"frozen": frozen, "moved": norm.running_mean}


@claim(
    "In eval mode gradients are still updated.",
    number="weight gradient {first}, then {second}",
    holds=lambda first, second: first != second,
    truth="Backward passes fill and add to `.grad` in eval mode as they do in train mode.",
    note=9,
)
def gradients_are_updated_in_eval_mode():
    model = TestModel().eval()
    F.mse_loss(model(X), Y).backward()
    first = model.mlp.weight.grad.clone()
    F.mse_loss(model(X), Y).backward()
    return {"first": first, "second": model.mlp.weight.grad}


@claim(
    "In eval mode `optimizer.step()` can still be called by hand.",
    number="weight {before} -> {after} by a step in eval mode",
    holds=lambda before, after: before != after,
    truth="The optimizer knows nothing of modes: it moves whatever has a gradient. A training "
    "loop that forgot `model.train()` goes on training, without dropout and with fixed norms.",
    note=11,
)
def step_works_in_eval_mode():
    model = TestModel().eval()
    optimizer = optim.Adam(model.parameters(), lr=0.5)
    before = model.mlp.weight.tolist()
    F.mse_loss(model(X), Y).backward()
    optimizer.step()
    return {"before": before, "after": model.mlp.weight}


@claim(
    "A forward in eval mode builds a graph, as if in train mode.",
    number="{train} nodes in train mode, {evaluation} in eval mode, {no_grad} under `no_grad`",
    holds=lambda train, evaluation, no_grad: train == evaluation > no_grad == 0,
    truth="`eval()` saves no memory. An evaluation wants both: `model.eval()` for the numbers "
    "and `torch.no_grad()` for the memory.",
)
def eval_is_not_no_grad():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.0), nn.ReLU())
    train = nodes(model.train()(X))
    evaluation = nodes(model.eval()(X))
    with torch.no_grad():
        return {"train": train, "evaluation": evaluation, "no_grad": nodes(model(X))}


@claim(
    "`torch.no_grad()` leaves dropout on and running statistics moving.",
    number="{zeros} zeros of 1000, running mean 0 -> {mean}",
    holds=lambda zeros, mean: zeros > 0 and mean != [0],
    truth="`no_grad` stops the recording of the graph and nothing else. A validation without "
    "`model.eval()` scores a model with holes, and writes the validation set into the norms.",
)
def no_grad_keeps_train_mode():
    dropout, norm = nn.Dropout(0.3), nn.BatchNorm1d(1)
    with torch.no_grad():
        zeros = (dropout(torch.ones(1000)) == 0).sum()
        norm(torch.tensor([[8.0], [12.0]]))
    return {"zeros": zeros, "mean": norm.running_mean}


@claim(
    "`model.eval()` reaches the layers inside a model.",
    number="in eval mode after `eval()`: registered {registered}, in a list {listed}",
    only_if="the layer is registered: an attribute of its own, in a `ModuleList` or `Sequential`",
    holds=lambda registered: registered,
    elsewhere=lambda listed: listed,
    truth="`eval()` walks the registered children. A layer in a plain Python list is not one: "
    "it stays in train mode, and its parameters are neither moved, saved nor optimized.",
)
def eval_reaches_the_layers_inside():
    model = nn.Module()
    model.registered = nn.Dropout(0.5)
    model.listed = [nn.Dropout(0.5)]
    model.eval()
    return {"registered": not model.registered.training, "listed": not model.listed[0].training}


@claim(
    "A norm put in eval mode by hand stays so after `model.train()`.",
    number="frozen norm in eval mode: {by_hand} before `model.train()`, {after} after it",
    holds=lambda by_hand, after: by_hand and after,
    truth="`model.train()` switches every module below it. Whoever freezes norms has to do so "
    "again after each `model.train()`, best in an overridden `train` method.",
)
def a_frozen_norm_survives_train():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model[1].eval()
    by_hand = not model[1].training
    model.train()
    return {"by_hand": by_hand, "after": not model[1].training}


@claim(
    "`F.dropout(x)` in a module's forward drops in eval mode, too.",
    number="zeros of 1000 in eval mode: {plain} by `F.dropout(x)`, {told} with `model.training`",
    only_if="it is not told the mode, as in `F.dropout(x, p, self.training)`",
    holds=lambda plain: plain > 0,
    elsewhere=lambda told: told > 0,
    truth="The function cannot see the module. It has a flag of its own, `training`, which is "
    "`True` by default.",
)
def functional_dropout_has_its_own_flag():
    model = nn.Module().eval()
    x = torch.ones(1000)
    plain = (F.dropout(x, 0.3) == 0).sum()
    told = (F.dropout(x, 0.3, model.training) == 0).sum()
    return {"plain": plain, "told": told}


@claim(
    "Saving and loading a `state_dict` carries the mode over.",
    number="saved in eval mode: {saved}; loaded in eval mode: {loaded}",
    holds=lambda saved, loaded: saved and loaded,
    truth="The mode is an attribute, in no `state_dict`. A new model is in train mode: call "
    "`model.eval()` after loading when it is to predict.",
)
def a_state_dict_carries_the_mode():
    saved = nn.Linear(2, 1).eval()
    loaded = nn.Linear(2, 1)
    loaded.load_state_dict(saved.state_dict())
    return {"saved": not saved.training, "loaded": not loaded.training}
