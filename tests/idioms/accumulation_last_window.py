"""Gradient accumulation with a last partial window scaled by its true size, clipping once per
update, evaluation in the middle of the epoch between two windows."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from weights import fingerprint

ACCUM = 4


def evaluate(model, loader):
    was_training = model.training
    model.eval()
    total = n = 0
    with torch.no_grad():
        for x, y in loader:
            total += nn.functional.mse_loss(model(x), y, reduction="sum").item()
            n += len(x)
    model.train(was_training)
    return total / n


torch.manual_seed(55)
x = torch.randn(330, 9)
y = x.max(1, keepdim=True).values
train = DataLoader(TensorDataset(x[:250], y[:250]), batch_size=16, shuffle=True)
val = DataLoader(TensorDataset(x[250:], y[250:]), batch_size=80)
model = nn.Sequential(
    nn.Linear(9, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 1)
)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
optimizer.zero_grad()
for epoch in range(4):
    for i, (xb, yb) in enumerate(train):
        window = ACCUM if i < len(train) // ACCUM * ACCUM else len(train) % ACCUM
        loss = nn.functional.mse_loss(model(xb), yb) / window
        loss.backward()
        if (i + 1) % ACCUM == 0 or i + 1 == len(train):
            norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        if i == 8:
            print("  mid", evaluate(model, val))
    print(epoch, loss.item() * window, norm.item(), evaluate(model, val))
print(fingerprint(model))
