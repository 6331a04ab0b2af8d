"""Weights of several losses: learned uncertainties beside the model, GradNorm's weights trained by
the gradient of a gradient norm, a Lagrange multiplier that climbs while the rest descends."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
        self.left, self.right = nn.Linear(16, 1), nn.Linear(16, 1)

    def losses(self, x):
        h = self.body(x)
        return torch.stack(
            [
                F.mse_loss(self.left(h).squeeze(1), x[:, 0] * 10),
                F.mse_loss(self.right(h).squeeze(1), x[:, 1]),
            ]
        )


torch.manual_seed(69)
data = torch.randn(128, 6)
model, spread = Two(), nn.Parameter(torch.zeros(2))
optimizer = torch.optim.Adam([*model.parameters(), spread], lr=1e-2)
for x in data.split(16):
    losses = model.losses(x)
    loss = (losses * torch.exp(-spread) + spread).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item(), fingerprint(model, spread))

model, weight = Two(), nn.Parameter(torch.ones(2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
of_weight = torch.optim.Adam([weight], lr=1e-2)
first = None
for x in data.split(16):
    losses = model.losses(x)
    first = losses.detach() if first is None else first
    optimizer.zero_grad()
    (weight.detach() * losses).sum().backward(retain_graph=True)
    shared = model.body[0].weight
    norms = torch.stack(
        [
            torch.autograd.grad(w * one, shared, retain_graph=True, create_graph=True)[0].norm()
            for w, one in zip(weight, losses, strict=True)
        ]
    )
    ratio = losses.detach() / first
    target = (norms.mean() * (ratio / ratio.mean()) ** 0.5).detach()
    of_weight.zero_grad()
    (weight.grad,) = torch.autograd.grad((norms - target).abs().sum(), [weight])
    optimizer.step()
    of_weight.step()
    weight.data.mul_(2 / weight.data.sum())
print(loss.item(), fingerprint(model, weight))

model, price = Two(), torch.zeros((), requires_grad=True)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
climb = torch.optim.SGD([price], lr=1e-1, maximize=True)
for x in data.split(16):
    goal, limit = model.losses(x)
    loss = goal + price * (limit - 0.5)
    optimizer.zero_grad()
    climb.zero_grad()
    loss.backward()
    optimizer.step()
    climb.step()
    price.data.clamp_(min=0)
print(loss.item(), fingerprint(model, price))
