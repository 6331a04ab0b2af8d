"""Pruning: torch.nn.utils.prune (weights recomputed from weight_orig and a mask), and masks applied
to the raw weights by hand after every step, then fine-tuned."""

import torch
import torch.nn.utils.prune as prune
from torch import nn
from weights import fingerprint

torch.manual_seed(60)
x = torch.randn(200, 10)
y = x[:, :3].argmax(1)


def fit(model, epochs, masks=None):
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        for i in torch.randperm(200).split(40):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x[i]), y[i])
            loss.backward()
            opt.step()
            if masks:
                with torch.no_grad():
                    for name, p in model.named_parameters():
                        if name in masks:
                            p.mul_(masks[name])
    return loss.item()


first = nn.Sequential(nn.Linear(10, 40), nn.ReLU(), nn.Linear(40, 3))
print("dense", fit(first, 3))
for layer in (first[0], first[2]):
    prune.l1_unstructured(layer, "weight", amount=0.5)
print("pruned", fit(first, 3))
for layer in (first[0], first[2]):
    prune.remove(layer, "weight")
print("zeros", (first[0].weight == 0).sum().item(), fingerprint(first))

second = nn.Sequential(nn.Linear(10, 40), nn.ReLU(), nn.Linear(40, 3))
fit(second, 2)
for sparsity in (0.3, 0.6):
    masks = {}
    for name, p in second.named_parameters():
        if p.ndim > 1:
            k = int(p.numel() * sparsity)
            threshold = p.detach().abs().flatten().kthvalue(k).values
            masks[name] = (p.detach().abs() > threshold).float()
            p.data *= masks[name]
    print(sparsity, fit(second, 2, masks))
print(fingerprint(second))
