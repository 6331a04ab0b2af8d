"""Made on the meta device, materialised by to_empty and initialised; lazy modules shaped by a dry
run without grad; a state loaded by assignment; all before the optimizer is made."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


def net():
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))


def train(model):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for epoch in range(2):
        model.train()
        for xb, yb in zip(x.split(32), y.split(32), strict=True):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            print(epoch, F.cross_entropy(model(x), y).item())
    print(fingerprint(model))


torch.manual_seed(58)
x = torch.randn(128, 6)
y = (x[:, 0] > 0).long()
with torch.device("meta"):
    model = net()
model.to_empty(device="cpu")
for module in model:
    if hasattr(module, "reset_parameters"):
        module.reset_parameters()
train(model)

with torch.device("meta"):
    again = net()
kept = {name: value.clone() for name, value in model.state_dict().items()}
again.load_state_dict(kept, assign=True)
train(again)

lazy = nn.Sequential(nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(2))
lazy.eval()
with torch.no_grad():
    lazy(torch.zeros(1, 6))
train(lazy)
