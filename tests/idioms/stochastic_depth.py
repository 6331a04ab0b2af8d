"""Stochastic depth and layer drop: whole blocks are skipped at random, so that their parameters
have no gradient in some steps; drop-path by sample elsewhere."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class DropPath(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x):
        if not self.training or self.rate == 0:
            return x
        keep = torch.rand(x.shape[0], 1) >= self.rate
        return x * keep / (1 - self.rate)


class Block(nn.Module):
    def __init__(self, width, rate):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.body = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.path = DropPath(rate)

    def forward(self, x):
        return x + self.path(self.body(self.norm(x)))


class Net(nn.Module):
    def __init__(self, depth=5, width=16):
        super().__init__()
        self.stem, self.head = nn.Linear(8, width), nn.Linear(width, 3)
        self.blocks = nn.ModuleList(Block(width, 0.1 * i) for i in range(depth))

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            if self.training and torch.rand(()) < 0.3:
                continue
            x = block(x)
        return self.head(x)


torch.manual_seed(43)
x = torch.randn(256, 8)
y = x[:, :3].argmax(1)
model = Net()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for epoch in range(4):
    model.train()
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(model(xb), yb).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, F.cross_entropy(model(x), y).item())
print(fingerprint(model))
