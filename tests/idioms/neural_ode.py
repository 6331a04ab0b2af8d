"""A neural-ODE-like loop: the same field is called for every step of a solver, training points
chosen at random, the whole trajectory evaluated without grad."""

from itertools import pairwise

import torch
from torch import nn
from weights import fingerprint


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 2))
        for m in self.net.modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, mean=0, std=0.1)
                nn.init.constant_(m.bias, val=0)
        self.calls = 0

    def forward(self, t, y):
        self.calls += 1
        return self.net(y**3)


def rk4(f, y, ts):
    out = [y]
    for a, b in pairwise(ts):
        h = b - a
        k1 = f(a, y)
        k2 = f(a + h / 2, y + h / 2 * k1)
        k3 = f(a + h / 2, y + h / 2 * k2)
        k4 = f(b, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        out.append(y)
    return torch.stack(out)


torch.manual_seed(64)
A = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
t = torch.linspace(0.0, 5.0, 60)
with torch.no_grad():
    true_y = rk4(lambda _, y: torch.mm(y**3, A), torch.tensor([[2.0, 0.0]]), t)
func = Field()
optimizer = torch.optim.RMSprop(func.parameters(), lr=1e-3)
for itr in range(1, 16):
    s = torch.randint(0, 50, (12,))
    y0 = true_y[s][:, 0]
    target = torch.stack([true_y[s + i][:, 0] for i in range(6)])
    optimizer.zero_grad()
    loss = (rk4(func, y0, t[:6]) - target).abs().mean()
    loss.backward()
    optimizer.step()
    if itr % 5 == 0:
        with torch.no_grad():
            total = (rk4(func, true_y[0], t[:20]) - true_y[:20]).abs().mean()
        print(f"Iter {itr:04d} | Total Loss {total.item():.6f} | calls {func.calls}")
print(fingerprint(func))
