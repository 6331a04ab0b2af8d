"""Regularisers by hand: weight decay through p.data, an L1 penalty and a proximal step that sets
weights to zero, dropout of whole gradients, noise on the weights put back after the backward,
layers re-drawn with their state deleted."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(75)
x = torch.randn(160, 8)
y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(5):
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        noise = [1e-2 * torch.randn_like(p) for p in model.parameters()]
        with torch.no_grad():
            for p, n in zip(model.parameters(), noise, strict=True):
                p.add_(n)
        loss = F.cross_entropy(model(xb), yb) + 1e-4 * model[0].weight.abs().sum()
        loss.backward()
        with torch.no_grad():
            for p, n in zip(model.parameters(), noise, strict=True):
                p.sub_(n)
        for p in model.parameters():
            p.grad.mul_(torch.rand_like(p.grad) > 0.1)
            p.data.mul_(1 - 1e-3)
        optimizer.step()
        with torch.no_grad():
            w = model[0].weight
            w.copy_(w.sign() * (w.abs() - 1e-3).clamp_min(0))
    if epoch == 2:
        model[2].reset_parameters()
        for p in model[2].parameters():
            optimizer.state.pop(p, None)
    print(epoch, loss.item())
print(fingerprint(model))
