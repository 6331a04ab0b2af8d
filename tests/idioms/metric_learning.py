"""Triplet and contrastive losses, batch-hard mining under no_grad, learned proxies that live in
the loss module and have their own parameter group."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class ProxyLoss(nn.Module):
    def __init__(self, classes, dim):
        super().__init__()
        self.proxies = nn.Parameter(torch.randn(classes, dim))

    def forward(self, z, y):
        distances = torch.cdist(F.normalize(z), F.normalize(self.proxies)) ** 2
        return F.cross_entropy(-distances, y)


def hardest(z, y):
    with torch.no_grad():
        d = torch.cdist(z, z)
        same = y[:, None] == y[None, :]
        positive = d.masked_fill(~same, -1).argmax(1)
        negative = d.masked_fill(same, float("inf")).argmin(1)
    return positive, negative


torch.manual_seed(44)
centers = torch.randn(4, 10) * 2
y = torch.randint(0, 4, (240,))
x = centers[y] + torch.randn(240, 10)
embed = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 4))
triplet, proxy = nn.TripletMarginLoss(margin=0.5), ProxyLoss(4, 4)
opt = torch.optim.Adam(
    [{"params": embed.parameters()}, {"params": proxy.parameters(), "lr": 0.05}], lr=2e-3
)
for epoch in range(4):
    for i in torch.randperm(240).split(48):
        z = embed(x[i])
        p, n = hardest(z, y[i])
        a, b = z[: len(z) // 2], z[len(z) // 2 :]
        same = (y[i][: len(a)] == y[i][len(a) :]).float()
        gap = (a - b).norm(dim=1)
        contrast = (same * gap**2 + (1 - same) * F.relu(1 - gap) ** 2).mean()
        loss = triplet(z, z[p], z[n]) + proxy(z, y[i]) + 0.1 * contrast
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(epoch, loss.item())
embed.eval()
with torch.no_grad():
    z = embed(x)
    near = torch.cdist(z, z).fill_diagonal_(float("inf")).argmin(1)
print("recall at 1", (y[near] == y).float().mean().item(), fingerprint(embed, proxy))
