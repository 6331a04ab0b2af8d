"""Mixture of experts: each token goes to its two best experts, so that some experts see nothing in
a batch; noisy gates in training, a load-balancing loss, one expert that is never chosen."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Experts(nn.Module):
    def __init__(self, width=8, count=6, k=2):
        super().__init__()
        self.gate, self.noise = nn.Linear(width, count, bias=False), nn.Linear(width, count)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, width))
            for _ in range(count)
        )
        self.k = k

    def forward(self, x):
        logits = self.gate(x)
        if self.training:
            logits = logits + torch.randn_like(logits) * F.softplus(self.noise(x)) * 0.1
        logits = logits - 100.0 * (torch.arange(6) == 5)
        best, index = logits.topk(self.k, dim=1)
        weight = F.softmax(best, dim=1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, place = (index == number).nonzero(as_tuple=True)
            if len(rows):
                out = out.index_add(0, rows, weight[rows, place, None] * expert(x[rows]))
        share = F.softmax(logits, dim=1).mean(0)
        used = F.one_hot(index, 6).float().sum((0, 1)) / index.numel()
        return out, 6 * (share * used).sum()


torch.manual_seed(63)
x = torch.randn(256, 8)
y = x.abs()[:, :3].argmax(1)
model, head = Experts(), nn.Linear(8, 3)
optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=5e-3)
for epoch in range(4):
    model.train()
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        h, balance = model(xb)
        loss = F.cross_entropy(head(h), yb) + 0.01 * balance
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, F.cross_entropy(head(model(x)[0]), y).item())
print(fingerprint(model, head))
