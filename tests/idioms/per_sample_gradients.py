"""DP-SGD: per-sample gradients by vmap(grad), clipped one by one and summed with noise into .grad,
then an ordinary optimizer steps; and a micro-batched version that accumulates clipped gradients by
hand."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap
from weights import fingerprint

torch.manual_seed(51)
x = torch.randn(128, 6)
y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(6, 16), nn.GroupNorm(4, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def loss_of(weights, sample, label):
    out = functional_call(model, weights, (sample.unsqueeze(0),))
    return F.cross_entropy(out, label.unsqueeze(0))


per_sample = vmap(grad(loss_of), in_dims=(None, 0, 0))
for epoch in range(3):
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        weights = {name: p.detach() for name, p in model.named_parameters()}
        each = per_sample(weights, xb, yb)
        norm = torch.stack([g.flatten(1).norm(dim=1) for g in each.values()]).norm(dim=0)
        factor = (1.0 / norm).clamp_max(1.0)
        for name, p in model.named_parameters():
            clipped = torch.einsum("n,n...->...", factor, each[name])
            p.grad = (clipped + 0.1 * torch.randn_like(p)) / len(xb)
        optimizer.step()
    with torch.no_grad():
        print(epoch, F.cross_entropy(model(x), y).item())

for epoch in range(2):
    for xb, yb in zip(x.split(16), y.split(16), strict=True):
        total = [torch.zeros_like(p) for p in model.parameters()]
        for sample, label in zip(xb.split(4), yb.split(4), strict=True):
            model.zero_grad()
            F.cross_entropy(model(sample), label).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for kept, p in zip(total, model.parameters(), strict=True):
                kept.add_(p.grad)
        for kept, p in zip(total, model.parameters(), strict=True):
            p.grad = kept.add_(0.05 * torch.randn_like(kept)).div_(4)
        optimizer.step()
    with torch.no_grad():
        print(epoch, F.cross_entropy(model(x), y).item())
print(fingerprint(model))
