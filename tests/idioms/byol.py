"""BYOL: a target made by deepcopy, run in train mode under no_grad, moved by an EMA; batch norm in
both; a linear probe at the end on frozen features."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


def MLP(dim, hidden, out):
    return nn.Sequential(
        nn.Linear(dim, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, out),
    )


class EMA:
    def __init__(self, beta):
        self.beta = beta

    def update_average(self, old, new):
        return new if old is None else old * self.beta + (1 - self.beta) * new


def update_moving_average(ema, ma_model, current_model):
    for current, ma in zip(current_model.parameters(), ma_model.parameters(), strict=True):
        ma.data = ema.update_average(ma.data, current.data)


class BYOL(nn.Module):
    def __init__(self):
        super().__init__()
        self.online = nn.Sequential(MLP(12, 32, 16), MLP(16, 32, 8))
        self.predictor = MLP(8, 16, 8)
        self.target = copy.deepcopy(self.online)
        for p in self.target.parameters():
            p.requires_grad = False
        self.ema = EMA(0.97)

    def update(self):
        update_moving_average(self.ema, self.target, self.online)

    def forward(self, a, b):
        pa, pb = self.predictor(self.online(a)), self.predictor(self.online(b))
        with torch.no_grad():
            ta, tb = self.target(a), self.target(b)
        one = 2 - 2 * F.cosine_similarity(pa, tb.detach(), dim=-1)
        two = 2 - 2 * F.cosine_similarity(pb, ta.detach(), dim=-1)
        return (one + two).mean()


def augment(x):
    return x + 0.2 * torch.randn_like(x)


torch.manual_seed(12)
x = torch.randn(256, 12)
labels = (x[:, 0] > 0).long()
learner = BYOL()
opt = torch.optim.Adam(learner.parameters(), lr=3e-3)
for epoch in range(5):
    for xb in x[torch.randperm(256)].split(64):
        loss = learner(augment(xb), augment(xb))
        opt.zero_grad()
        loss.backward()
        opt.step()
        learner.update()
    print("byol", epoch, loss.item())

encoder = learner.online[0].eval()
with torch.no_grad():
    features = encoder(x)
probe = nn.Linear(16, 2)
sgd = torch.optim.SGD(probe.parameters(), lr=0.5)
for _ in range(20):
    sgd.zero_grad()
    F.cross_entropy(probe(features), labels).backward()
    sgd.step()
print("probe", (probe(features).argmax(1) == labels).float().mean().item())
print(fingerprint(learner, probe))
