"""Evolution strategies: no backward anywhere, the estimated gradient is written into .grad and an
optimizer steps."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(66)
policy = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=0.03)
states = torch.randn(64, 4)
goal = torch.stack([states[:, 0].sin(), states[:, 1] * states[:, 2]], 1)


def fitness():
    with torch.no_grad():
        return -(policy(states) - goal).pow(2).mean()


def perturb(noise, scale):
    for p, n in zip(policy.parameters(), noise, strict=True):
        p.data.add_(n, alpha=scale)


sigma, population = 0.1, 8
for generation in range(20):
    estimate = [torch.zeros_like(p) for p in policy.parameters()]
    for _ in range(population):
        noise = [torch.randn_like(p) for p in policy.parameters()]
        perturb(noise, sigma)
        plus = fitness()
        perturb(noise, -2 * sigma)
        minus = fitness()
        perturb(noise, sigma)
        for e, n in zip(estimate, noise, strict=True):
            e.add_(n, alpha=float(plus - minus) / (2 * sigma * population))
    optimizer.zero_grad()
    for p, e in zip(policy.parameters(), estimate, strict=True):
        p.grad = -e
    optimizer.step()
    if generation % 5 == 0:
        print(generation, fitness().item())
print(fingerprint(policy))
