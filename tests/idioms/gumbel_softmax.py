"""A discrete autoencoder: Gumbel-softmax, hard with a straight-through gradient, the temperature
annealed; plain argmax codes in evaluation."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Discrete(nn.Module):
    def __init__(self, groups=6, classes=8):
        super().__init__()
        self.groups, self.classes, self.tau = groups, classes, 1.0
        self.encoder = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, groups * classes))
        self.decoder = nn.Sequential(nn.Linear(groups * classes, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, x):
        logits = self.encoder(x).view(-1, self.groups, self.classes)
        if self.training:
            code = F.gumbel_softmax(logits, tau=self.tau, hard=True, dim=-1)
        else:
            code = F.one_hot(logits.argmax(-1), self.classes).float()
        q = F.softmax(logits, dim=-1)
        kl = (q * (q.clamp_min(1e-9).log() + math.log(self.classes))).sum((1, 2)).mean()
        return self.decoder(code.flatten(1)), kl


torch.manual_seed(41)
data = torch.randn(256, 2) @ torch.randn(2, 10)
model = Discrete()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
step = 0
for _epoch in range(4):
    model.train()
    for x in data.split(32):
        optimizer.zero_grad()
        y, kl = model(x)
        (F.mse_loss(y, x, reduction="none").sum(1).mean() + 0.01 * kl).backward()
        optimizer.step()
        step += 1
        model.tau = max(0.5, math.exp(-0.01 * step))
    model.eval()
    with torch.no_grad():
        print(F.mse_loss(model(data)[0], data).item())
print(fingerprint(model))
