"""Constraints after each step: max-norm of the rows, a non-negative layer, a unit-norm prototype,
gradient noise and gradient centralisation before the step."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(48)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8), nn.Softplus())
prototypes = nn.Parameter(F.normalize(torch.randn(3, 8)))
optimizer = torch.optim.Adam([*model.parameters(), prototypes], lr=1e-2)
x = torch.randn(192, 8)
y = x[:, :3].argmax(1)
for epoch in range(5):
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        logits = 5 * F.normalize(model(xb)) @ prototypes.t()
        loss = F.cross_entropy(logits, yb)
        loss.backward()
        for p in model.parameters():
            if p.ndim > 1:
                p.grad.sub_(p.grad.mean(1, keepdim=True))
            p.grad.add_(1e-4 * torch.randn_like(p))
        optimizer.step()
        with torch.no_grad():
            norm = model[0].weight.norm(dim=1, keepdim=True).clamp_min(1e-8)
            model[0].weight.mul_(norm.clamp_max(2.0) / norm)
            prototypes.copy_(F.normalize(prototypes))
        model[2].weight.data.clamp_(min=0)
    print(epoch, loss.item())
print(fingerprint(model))
print(fingerprint(prototypes))
