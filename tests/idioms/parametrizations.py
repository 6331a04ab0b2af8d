"""Parametrizations: weight_norm, spectral_norm and orthogonal in one net, the old-style weight_norm
in another; the graph's leaves are the originals."""

import warnings

import torch
from torch import nn
from torch.nn.utils import parametrizations as P
from torch.nn.utils import remove_weight_norm
from torch.nn.utils import weight_norm as old_weight_norm
from weights import fingerprint

torch.manual_seed(39)
net = nn.Sequential(
    P.weight_norm(nn.Linear(6, 16)),
    nn.ReLU(),
    P.spectral_norm(nn.Linear(16, 16)),
    nn.ReLU(),
    P.orthogonal(nn.Linear(16, 16)),
    nn.ReLU(),
    nn.Linear(16, 1),
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    old = nn.Sequential(
        old_weight_norm(nn.Linear(6, 16)), nn.Tanh(), old_weight_norm(nn.Linear(16, 1))
    )
x = torch.randn(160, 6)
y = x.prod(1, keepdim=True)
for model in (net, old):
    opt = torch.optim.Adam(model.parameters(), lr=3e-3)
    for epoch in range(4):
        model.train()
        for i in torch.randperm(128).split(32):
            opt.zero_grad()
            loss = nn.functional.mse_loss(model(x[i]), y[i])
            loss.backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            print(epoch, loss.item(), nn.functional.mse_loss(model(x[128:]), y[128:]).item())
torch.nn.utils.parametrize.remove_parametrizations(net[0], "weight")
remove_weight_norm(old[0])
print(fingerprint(net, old))
