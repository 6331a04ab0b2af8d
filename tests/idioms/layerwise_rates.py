"""Layer-wise decay of the learning rate, a group per layer, no weight decay on norms and biases, a
warm-up and a cosine by LambdaLR that ends at zero."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(44)
layers = [nn.Sequential(nn.Linear(12, 12), nn.LayerNorm(12), nn.GELU()) for _ in range(4)]
model = nn.Sequential(*layers, nn.Linear(12, 3))
groups = []
for depth, layer in enumerate(reversed(model)):
    for decays in (True, False):
        parameters = [p for p in layer.parameters() if (p.ndim > 1) == decays]
        rate = 3e-3 * 0.7**depth
        groups.append({"params": parameters, "lr": rate, "weight_decay": 0.05 * decays})
optimizer = torch.optim.AdamW(groups)
total, warm = 64, 8


def factor(step):
    if step < warm:
        return step / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))


scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
x = torch.randn(256, 12)
y = x[:, :3].argmax(1)
for epoch in range(8):
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
    print(epoch, loss.item())
print(fingerprint(model))
