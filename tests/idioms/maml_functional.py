"""MAML with functional fast weights: inner steps by autograd.grad with create_graph."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(7)


def forward(x, w):
    x = F.relu(F.linear(x, w[0], w[1]))
    x = F.relu(F.linear(x, w[2], w[3]))
    return F.linear(x, w[4], w[5])


def task():
    a, p = torch.rand(1) * 4 + 0.1, torch.rand(1) * math.pi

    def sample(n):
        x = torch.rand(n, 1) * 10 - 5
        return x, a * torch.sin(x + p)

    return sample


def inner(weights, x, y, steps=2, lr=0.01):
    fast = list(weights)
    for _ in range(steps):
        loss = F.mse_loss(forward(x, fast), y)
        grads = torch.autograd.grad(loss, fast, create_graph=True)
        fast = [w - lr * g for w, g in zip(fast, grads, strict=True)]
    return fast


weights = nn.ParameterList()
for o, i in ((20, 1), (20, 20), (1, 20)):
    weights.append(nn.Parameter(torch.randn(o, i) / math.sqrt(i)))
    weights.append(nn.Parameter(torch.zeros(o)))
meta = torch.optim.Adam(weights.parameters(), lr=1e-3)

for it in range(25):
    meta_loss = 0.0
    for _ in range(4):
        sample = task()
        fast = inner(list(weights), *sample(10))
        x, y = sample(10)
        meta_loss = meta_loss + F.mse_loss(forward(x, fast), y)
    meta_loss = meta_loss / 4
    meta.zero_grad()
    meta_loss.backward()
    meta.step()
    if it % 5 == 0:
        print(it, meta_loss.item())

sample = task()
tuned = inner([w.detach().requires_grad_() for w in weights], *sample(10), steps=5)
x, y = sample(50)
with torch.no_grad():
    print("after adaptation", F.mse_loss(forward(x, tuned), y).item())
print(fingerprint(weights))
