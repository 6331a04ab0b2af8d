"""The sanity check before the real thing: one batch overfitted for some steps, then everything is
made anew and trained on the whole data set."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from weights import fingerprint


def build():
    torch.manual_seed(68)
    model = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 5))
    return model, torch.optim.Adam(model.parameters(), lr=3e-3)


x = torch.randn(320, 10, generator=torch.Generator().manual_seed(0))
dataset = TensorDataset(x, x[:, :5].argmax(1))
loader = DataLoader(dataset, batch_size=32, shuffle=True)
criterion = nn.CrossEntropyLoss()

model, optimizer = build()
xb, yb = next(iter(loader))
for step in range(40):
    optimizer.zero_grad()
    loss = criterion(model(xb), yb)
    loss.backward()
    optimizer.step()
print("can it overfit one batch?", loss.item())

model, optimizer = build()
for epoch in range(4):
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
print(fingerprint(model))
