"""Lookahead around Adam: every k steps the fast weights are written back to the slow ones, outside
any optimizer, with the moments kept."""

from collections import defaultdict

import torch
from torch import nn
from weights import fingerprint


class Lookahead:
    def __init__(self, optimizer, k=5, alpha=0.5):
        self.optimizer, self.k, self.alpha = optimizer, k, alpha
        self.param_groups = optimizer.param_groups
        self.state = defaultdict(dict)
        self.counter = 0

    def zero_grad(self):
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self):
        self.optimizer.step()
        self.counter += 1
        if self.counter % self.k:
            return
        for group in self.param_groups:
            for fast in group["params"]:
                state = self.state[fast]
                if "slow" not in state:
                    state["slow"] = fast.detach().clone()
                slow = state["slow"]
                slow += (fast - slow) * self.alpha
                fast.copy_(slow)


torch.manual_seed(23)
x = torch.randn(200, 5)
y = (x**2).sum(1)
net = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
opt = Lookahead(torch.optim.Adam(net.parameters(), lr=5e-3))
for epoch in range(8):
    total = 0.0
    for xb, yb in zip(x.split(40), y.split(40), strict=True):
        opt.zero_grad()
        loss = nn.functional.mse_loss(net(xb), yb)
        loss.backward()
        opt.step()
        total += loss.item()
    print(epoch, total / 5)
print(fingerprint(net))
