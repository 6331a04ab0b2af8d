"""Polyak averages by hand: a running mean of the parameters as a vector, a list of moving averages
in zip loops (with lerp_ and with .data), evaluated through functional_call and by copying into a
second model."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from weights import fingerprint


def net():
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))


torch.manual_seed(49)
model, mean_model = net(), net()
mean = parameters_to_vector(model.parameters()).detach().clone()
slow = {name: p.detach().clone() for name, p in model.named_parameters()}
other = [p.data.clone() for p in model.parameters()]
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
x = torch.randn(192, 6)
y = x[:, :2].prod(1, keepdim=True)
count = 1
for epoch in range(5):
    model.train()
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        F.mse_loss(model(xb), yb).backward()
        optimizer.step()
        count += 1
        with torch.no_grad():
            mean += (parameters_to_vector(model.parameters()) - mean) / count
            for name, p in model.named_parameters():
                slow[name].lerp_(p, 0.05)
        for average, p in zip(other, model.parameters(), strict=True):
            average.mul_(0.9).add_(p.data, alpha=0.1)
    vector_to_parameters(mean, mean_model.parameters())
    mean_model.eval()
    model.eval()
    with torch.no_grad():
        print(epoch, F.mse_loss(mean_model(x), y).item())
        print(epoch, F.mse_loss(torch.func.functional_call(model, slow, (x,)), y).item())
print(fingerprint(model, mean_model, mean, *other))
