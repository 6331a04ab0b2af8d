"""Gradient checkpointing, reentrant and not: forwards run twice, once without grad, once inside
backward; dropout keeps its numbers."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from weights import fingerprint


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.ff = nn.Sequential(
            nn.Linear(d, 2 * d), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * d, d)
        )

    def forward(self, x):
        return x + self.ff(self.norm(x))


class Net(nn.Module):
    def __init__(self, reentrant, d=16):
        super().__init__()
        self.reentrant = reentrant
        self.embed = nn.Linear(4, d)
        self.blocks = nn.ModuleList(Block(d) for _ in range(3))
        self.tail = nn.Sequential(*[nn.Sequential(nn.Linear(d, d), nn.Tanh()) for _ in range(4)])
        self.out = nn.Linear(d, 1)

    def forward(self, x):
        x = self.embed(x)
        for block in self.blocks:
            if self.training:
                x = checkpoint(block, x, use_reentrant=self.reentrant)
            else:
                x = block(x)
        x = checkpoint_sequential(self.tail, 2, x, use_reentrant=self.reentrant)
        return self.out(x)


torch.manual_seed(24)
x = torch.randn(160, 4)
y = x.norm(dim=1, keepdim=True)
for reentrant in (True, False):
    net = Net(reentrant)
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for epoch in range(3):
        net.train()
        for xb, yb in zip(x[:128].split(32), y[:128].split(32), strict=True):
            opt.zero_grad()
            loss = nn.functional.mse_loss(net(xb), yb)
            loss.backward()
            opt.step()
        net.eval()
        with torch.no_grad():
            print(reentrant, epoch, loss.item(), (net(x[128:]) - y[128:]).abs().mean().item())
    print(fingerprint(net))
