"""Reptile: train on a task in place, then move the old weights towards the new ones."""

import copy
from copy import deepcopy

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(10)
rng = torch.Generator().manual_seed(3)
innerstepsize, innerepochs, outerstepsize0, niterations = 0.02, 1, 0.1, 20
x_all = torch.linspace(-5, 5, 50)[:, None]
model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


def gen_task():
    phase = torch.rand(1, generator=rng) * 6.28
    ampl = torch.rand(1, generator=rng) * 4.9 + 0.1
    return lambda x: torch.sin(x + phase) * ampl


def train_on_batch(x, y):
    model.zero_grad()
    ypred = model(x)
    loss = (ypred - y).pow(2).mean()
    loss.backward()
    for param in model.parameters():
        param.data -= innerstepsize * param.grad.data


for iteration in range(niterations):
    weights_before = deepcopy(model.state_dict())
    f = gen_task()
    y_all = f(x_all)
    for _ in range(innerepochs):
        inds = torch.randperm(len(x_all), generator=rng)
        for start in range(0, len(x_all), 10):
            mbinds = inds[start : start + 10]
            train_on_batch(x_all[mbinds], y_all[mbinds])
    weights_after = model.state_dict()
    outerstepsize = outerstepsize0 * (1 - iteration / niterations)
    model.load_state_dict(
        {
            name: weights_before[name]
            + (weights_after[name] - weights_before[name]) * outerstepsize
            for name in weights_before
        }
    )
    if iteration % 5 == 4:
        kept = copy.deepcopy(model.state_dict())
        for _ in range(8):
            train_on_batch(x_all[::5], y_all[::5])
        with torch.no_grad():
            print(iteration, (model(x_all) - y_all).square().mean().item())
        model.load_state_dict(kept)
print(fingerprint(model))
