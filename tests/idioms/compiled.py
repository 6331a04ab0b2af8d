"""A model under torch.compile(backend="eager"): the wrapper is trained and the original is
evaluated."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(49)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))
compiled = torch.compile(model, backend="eager")
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
x = torch.randn(128, 6)
y = x.sum(1, keepdim=True).tanh()
for epoch in range(4):
    compiled.train()
    for xb, yb in zip(x[:96].split(24), y[:96].split(24), strict=True):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(compiled(xb), yb)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        val = nn.functional.mse_loss(model(x[96:]), y[96:])
    model.train()
    print(epoch, loss.item(), val.item())
print(fingerprint(model))
