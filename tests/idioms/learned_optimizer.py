"""Learning to learn: an LSTM proposes the updates of a small problem's parameters, unrolled and
trained through; and synthetic gradients for a layer cut off from its loss."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(66)
cell, out = nn.LSTMCell(2, 8), nn.Linear(8, 1)
outer = torch.optim.Adam([*cell.parameters(), *out.parameters()], lr=3e-3)
for task in range(8):
    a, b = torch.randn(5, 5), torch.randn(5)
    theta = torch.randn(5, requires_grad=True)
    h, c = torch.zeros(5, 8), torch.zeros(5, 8)
    total = torch.zeros(())
    for _ in range(10):
        loss = (a @ theta - b).pow(2).mean()
        total = total + loss
        (slope,) = torch.autograd.grad(loss, theta, retain_graph=True)
        slope = slope.detach()
        signal = torch.stack([slope.abs().clamp_min(1e-6).log() / 10, slope.sign()], 1)
        h, c = cell(signal, (h, c))
        theta = theta + 0.1 * out(h).squeeze(1)
    outer.zero_grad()
    total.backward()
    nn.utils.clip_grad_norm_(cell.parameters(), 1.0)
    outer.step()
    print(task, total.item())
print(fingerprint(cell, out))

first, second, guess = nn.Linear(6, 16), nn.Linear(16, 2), nn.Linear(16, 16)
optimizers = [torch.optim.Adam(part.parameters(), lr=3e-3) for part in (first, second, guess)]
x = torch.randn(128, 6)
y = (x[:, 0] > 0).long()
for xb, yb in zip(x.split(16), y.split(16), strict=True):
    for optimizer in optimizers:
        optimizer.zero_grad()
    h = torch.relu(first(xb))
    h.backward(guess(h.detach()).detach())
    optimizers[0].step()
    cut = h.detach().requires_grad_()
    loss = F.cross_entropy(second(cut), yb)
    loss.backward()
    optimizers[1].step()
    F.mse_loss(guess(cut.detach()), cut.grad).backward()
    optimizers[2].step()
print(loss.item(), fingerprint(first, second, guess))
