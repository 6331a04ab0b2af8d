"""Discriminative learning rates by layer, the lowest group at zero for good and another at zero
until it is switched on; weight decay only where it belongs."""

import torch
from torch import nn
from weights import fingerprint


def grouped(model, lr, decay):
    rates = {"0": 0.0, "2": lr / 10, "4": lr}
    groups = []
    for name, rate in rates.items():
        layer = getattr(model, name)
        groups.append({"params": [layer.weight], "lr": rate, "weight_decay": decay})
        groups.append({"params": [layer.bias], "lr": rate, "weight_decay": 0.0})
    return groups


torch.manual_seed(31)
model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 2))
optimizer = torch.optim.AdamW(grouped(model, 3e-3, 0.01))
x = torch.randn(192, 6)
y = (x.sum(1) > 0).long()
for epoch in range(5):
    if epoch == 3:
        for group in optimizer.param_groups[:2]:
            group["lr"] = 1e-4
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
    print(epoch, loss.item(), [g["lr"] for g in optimizer.param_groups[::2]])
print(fingerprint(model))
