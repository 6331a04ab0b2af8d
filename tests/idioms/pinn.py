"""A physics-informed net: the loss is made of derivatives of the output with respect to its inputs
(create_graph), boundary and interior terms, Adam and then LBFGS on the same parameters."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(60)
model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
rate = nn.Parameter(torch.tensor(1.0))


def loss_of():
    t = torch.rand(32, 1, requires_grad=True)
    u = model(t)
    ones = torch.ones_like(u)
    speed = torch.autograd.grad(u, t, ones, create_graph=True)[0]
    bend = torch.autograd.grad(speed, t, ones, create_graph=True)[0]
    start = torch.zeros(1, 1, requires_grad=True)
    at_start = model(start)
    slope = torch.autograd.grad(at_start.sum(), start, create_graph=True)[0]
    interior = (bend + rate * u).pow(2).mean()
    return interior + (at_start - 1).pow(2).mean() + slope.pow(2).mean() + (rate - 2).pow(2)


optimizer = torch.optim.Adam([*model.parameters(), rate], lr=5e-3)
for step in range(30):
    optimizer.zero_grad()
    loss = loss_of()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(step, loss.item())
fine = torch.optim.LBFGS([*model.parameters(), rate], max_iter=4)


def closure():
    fine.zero_grad()
    loss = loss_of()
    loss.backward()
    return loss


for step in range(3):
    print(step, fine.step(closure).item())
print(fingerprint(model, rate))
