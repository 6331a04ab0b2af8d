"""No optimizer at all: three ways of writing SGD by hand (the tutorial's tensors, p.data with
None, fastai's with zero_)."""

import math

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(65)
x = torch.linspace(-math.pi, math.pi, 200)
y = torch.sin(x)
a, b, c = (torch.randn((), requires_grad=True) for _ in range(3))
learning_rate = 1e-6
for t in range(60):
    y_pred = a + b * x + c * x**3
    loss = (y_pred - y).pow(2).sum()
    loss.backward()
    with torch.no_grad():
        a -= learning_rate * a.grad
        b -= learning_rate * b.grad
        c -= learning_rate * c.grad
        a.grad = None
        b.grad = None
        c.grad = None
print(loss.item(), a.item(), b.item(), c.item())

model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
for t in range(30):
    loss = nn.functional.mse_loss(model(x[:, None]), y[:, None])
    model.zero_grad()
    loss.backward()
    for param in model.parameters():
        param.data = param.data - 0.05 * param.grad
print(loss.item(), fingerprint(model))

weights = (torch.randn(2, 3) / math.sqrt(2)).requires_grad_()
bias = torch.zeros(3, requires_grad=True)
points = torch.randn(90, 2)
labels = (points.sum(1) > 0).long() + (points[:, 0] > 1).long()
for epoch in range(5):
    for xb, yb in zip(points.split(30), labels.split(30), strict=True):
        logits = xb @ weights + bias
        logp = logits - logits.exp().sum(-1).log().unsqueeze(-1)
        loss = -logp[range(yb.shape[0]), yb].mean()
        loss.backward()
        with torch.no_grad():
            weights -= weights.grad * 0.5
            bias -= bias.grad * 0.5
            weights.grad.zero_()
            bias.grad.zero_()
print(loss.item(), fingerprint(weights, bias))
