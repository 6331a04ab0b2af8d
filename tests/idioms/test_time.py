"""Test-time adaptation (TENT): only the affine parameters of the norms are trained, on test
batches, in train mode by design; augmentations averaged, then the source state put back."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(73)
x = torch.randn(256, 8)
y = (x[:, 0] > 0).long()
model = nn.Sequential(
    nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16), nn.BatchNorm1d(16),
    nn.ReLU(), nn.Linear(16, 2),
)  # fmt: skip
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for xb, yb in zip(x.split(32), y.split(32), strict=True):
    optimizer.zero_grad()
    F.cross_entropy(model(xb), yb).backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    print((model(x).argmax(1) == y).float().mean().item())

source = copy.deepcopy(model.state_dict())
shifted = 1.5 * x + 0.7
model.train()
model.requires_grad_(False)
trained = []
for module in model:
    if isinstance(module, nn.BatchNorm1d):
        module.requires_grad_(True)
        module.track_running_stats = False
        module.running_mean = module.running_var = None
        trained += [module.weight, module.bias]
adapt = torch.optim.SGD(trained, lr=1e-2, momentum=0.9)
right = 0
for xb, yb in zip(shifted.split(64), y.split(64), strict=True):
    out = model(xb)
    entropy = -(out.softmax(1) * out.log_softmax(1)).sum(1).mean()
    entropy.backward()
    adapt.step()
    adapt.zero_grad()
    right += (out.argmax(1) == yb).sum().item()
print(right / 256)
model.load_state_dict(source, strict=False)
model.eval()
with torch.no_grad():
    votes = sum(model(x + 0.1 * torch.randn_like(x)).softmax(1) for _ in range(4))
print((votes.argmax(1) == y).float().mean().item())
print(fingerprint(model))
