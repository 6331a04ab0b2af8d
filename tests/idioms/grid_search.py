"""A grid search with many short-lived models; the best one's weights are kept by deepcopy and it is
trained on from a fresh optimizer."""

import copy
import itertools

import torch
from torch import nn, optim
from weights import fingerprint

torch.manual_seed(34)
x = torch.randn(160, 5)
y = (x**2).sum(1, keepdim=True) / 5
grid = {
    "width": [4, 16],
    "lr": [1e-3, 3e-2],
    "opt": [optim.SGD, optim.Adam, optim.RMSprop],
    "act": [nn.ReLU, nn.Tanh],
}
best_loss, best = float("inf"), None
for values in itertools.product(*grid.values()):
    config = dict(zip(grid, values, strict=True))
    net = nn.Sequential(
        nn.Linear(5, config["width"]), config["act"](), nn.Linear(config["width"], 1)
    )
    opt = config["opt"](net.parameters(), lr=config["lr"])
    for xb, yb in zip(x[:120].split(30), y[:120].split(30), strict=True):
        opt.zero_grad()
        nn.functional.mse_loss(net(xb), yb).backward()
        opt.step()
    with torch.no_grad():
        val = nn.functional.mse_loss(net(x[120:]), y[120:]).item()
    if val < best_loss:
        best_loss, best = val, (config, copy.deepcopy(net))
        print(config["width"], config["lr"], config["opt"].__name__, val)

config, net = best
opt = config["opt"](net.parameters(), lr=config["lr"])
for _ in range(10):
    for xb, yb in zip(x[:120].split(30), y[:120].split(30), strict=True):
        opt.zero_grad()
        loss = nn.functional.mse_loss(net(xb), yb)
        loss.backward()
        opt.step()
print("final", loss.item(), fingerprint(net))
