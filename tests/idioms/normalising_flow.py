"""RealNVP with ActNorm: weights set from the first batch inside forward (data-dependent init), a
flip between couplings, sampling by the inverse."""

import torch
from torch import nn
from torch.distributions import MultivariateNormal
from weights import fingerprint


class ActNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.loc = nn.Parameter(torch.zeros(1, d))
        self.scale = nn.Parameter(torch.ones(1, d))
        self.register_buffer("initialized", torch.tensor(0, dtype=torch.uint8))

    def forward(self, x):
        if self.training and self.initialized.item() == 0:
            with torch.no_grad():
                self.loc.data.copy_(-x.mean(0, keepdim=True))
                self.scale.data.copy_(1 / (x.std(0, keepdim=True) + 1e-6))
            self.initialized.fill_(1)
        return self.scale * (x + self.loc), self.scale.abs().log().sum().expand(len(x))

    def inverse(self, z):
        return z / self.scale - self.loc


class Coupling(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d // 2, 24), nn.Tanh(), nn.Linear(24, d))
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x):
        a, b = x.flip(1).chunk(2, 1)
        s, t = self.net(a).chunk(2, 1)
        s = torch.tanh(s)
        return torch.cat([a, b * s.exp() + t], 1), s.sum(1)

    def inverse(self, z):
        a, b = z.chunk(2, 1)
        s, t = self.net(a).chunk(2, 1)
        return torch.cat([a, (b - t) * (-torch.tanh(s)).exp()], 1).flip(1)


class Flow(nn.Module):
    def __init__(self, d, n):
        super().__init__()
        self.layers = nn.ModuleList(m for _ in range(n) for m in (ActNorm(d), Coupling(d)))
        self.base = MultivariateNormal(torch.zeros(d), torch.eye(d))

    def forward(self, x):
        total = torch.zeros(len(x))
        for layer in self.layers:
            x, logdet = layer(x)
            total = total + logdet
        return -(self.base.log_prob(x) + total).mean()

    @torch.no_grad()
    def sample(self, n):
        z = self.base.sample((n,))
        for layer in reversed(self.layers):
            z = layer.inverse(z)
        return z


torch.manual_seed(46)
r = torch.randn(400, 1)
data = torch.cat([r, r**2 + 0.2 * torch.randn_like(r), r.sin(), torch.randn_like(r)], 1)
flow = Flow(4, 3)
opt = torch.optim.Adam(flow.parameters(), lr=2e-3)
for epoch in range(4):
    for xb in data[torch.randperm(400)].split(80):
        loss = flow(xb)
        opt.zero_grad()
        loss.backward()
        opt.step()
    print(epoch, loss.item(), flow.sample(16).abs().mean().item())
print(fingerprint(flow))
