"""Local losses: greedy layer-wise training with detached inputs and a loss and optimizer for every
layer, a forward-forward layer with its own train method, an RBM by contrastive divergence."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Local(nn.Module):
    def __init__(self, inward, outward):
        super().__init__()
        self.body, self.probe = nn.Linear(inward, outward), nn.Linear(outward, 2)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=5e-3)

    def learn(self, x, y):
        h = torch.relu(self.body(x))
        loss = F.cross_entropy(self.probe(h), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return h.detach(), loss.item()


class Goodness(nn.Linear):
    """A forward-forward layer; its `fit` runs many steps on its own."""

    def __init__(self, inward, outward):
        super().__init__(inward, outward)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-2)

    def forward(self, x):
        return torch.relu(super().forward(x / (x.norm(dim=1, keepdim=True) + 1e-4)))

    def fit(self, good, bad):
        for _ in range(10):
            up, down = self(good).pow(2).mean(1), self(bad).pow(2).mean(1)
            loss = F.softplus(torch.cat([2 - up, down - 2])).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return self(good).detach(), self(bad).detach(), loss.item()


class Boltzmann(nn.Module):
    def __init__(self, seen=12, hidden=8):
        super().__init__()
        self.w = nn.Parameter(0.1 * torch.randn(hidden, seen))
        self.v, self.h = nn.Parameter(torch.zeros(seen)), nn.Parameter(torch.zeros(hidden))

    def forward(self, v):
        for _ in range(2):
            h = torch.bernoulli(torch.sigmoid(F.linear(v, self.w, self.h)))
            v = torch.bernoulli(torch.sigmoid(F.linear(h, self.w.t(), self.v)))
        return v

    def free_energy(self, v):
        return (-(v @ self.v) - F.softplus(F.linear(v, self.w, self.h)).sum(1)).mean()


torch.manual_seed(68)
x = torch.randn(128, 6)
y = (x[:, 0] > 0).long()
layers = [Local(6, 16), Local(16, 16)]
for xb, yb in zip(x.split(16), y.split(16), strict=True):
    h = xb
    for layer in layers:
        h, loss = layer.learn(h, yb)
print(loss, fingerprint(*layers))

good = torch.cat([x, F.one_hot(y, 2)], 1)
bad = torch.cat([x, F.one_hot(1 - y, 2)], 1)
stack = [Goodness(8, 16), Goodness(16, 16)]
for layer in stack:
    good, bad, loss = layer.fit(good, bad)
print(loss, fingerprint(*stack))

machine = Boltzmann()
optimizer = torch.optim.SGD(machine.parameters(), lr=0.1)
data = (torch.rand(128, 12) < torch.linspace(0.1, 0.9, 12)).float()
for _ in range(2):
    for batch in data.split(16):
        sample = machine(batch).detach()
        loss = machine.free_energy(batch) - machine.free_energy(sample)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item(), fingerprint(machine))
