"""DDPM: noise and timesteps drawn in each step, zero-initialised last layer, an EMA copy for
sampling, a seeded generator only for the samples."""

import copy
import math

import torch
import torch.nn as nn
from weights import fingerprint


class Denoiser(nn.Module):
    def __init__(self, dim=2, width=48):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(16, width), nn.SiLU(), nn.Linear(width, width))
        self.inp = nn.Linear(dim, width)
        self.mid = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.out = nn.Linear(width, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x, t):
        freqs = torch.exp(-math.log(1000) * torch.arange(8) / 8)
        angle = t[:, None].float() * freqs
        temb = self.time(torch.cat([angle.sin(), angle.cos()], -1))
        return self.out(self.mid(self.inp(x) + temb))


class Diffusion:
    def __init__(self, steps=50):
        self.T = steps
        self.betas = torch.linspace(1e-4, 0.1, steps)
        self.alpha_bar = torch.cumprod(1 - self.betas, 0)

    def loss(self, model, x0):
        t = torch.randint(0, self.T, (len(x0),))
        eps = torch.randn_like(x0)
        a = self.alpha_bar[t][:, None]
        return (model(a.sqrt() * x0 + (1 - a).sqrt() * eps, t) - eps).square().mean()

    @torch.no_grad()
    def sample(self, model, n):
        g = torch.Generator().manual_seed(0)
        x = torch.randn(n, 2, generator=g)
        for t in reversed(range(self.T)):
            eps = model(x, torch.full((n,), t))
            x = (x - self.betas[t] / (1 - self.alpha_bar[t]).sqrt() * eps) / (
                1 - self.betas[t]
            ).sqrt()
            if t:
                x = x + self.betas[t].sqrt() * torch.randn(n, 2, generator=g)
        return x


torch.manual_seed(47)
angle = torch.rand(512) * 2 * math.pi
data = torch.stack([angle.cos(), angle.sin()], 1)
model, diffusion = Denoiser(), Diffusion()
ema = copy.deepcopy(model).eval().requires_grad_(False)
opt = torch.optim.AdamW(model.parameters(), lr=2e-3)
for epoch in range(4):
    for xb in data[torch.randperm(512)].split(64):
        loss = diffusion.loss(model, xb)
        opt.zero_grad()
        loss.backward()
        opt.step()
        for p, q in zip(model.parameters(), ema.parameters(), strict=True):
            q.lerp_(p.detach(), 0.05)
    print(epoch, loss.item(), diffusion.sample(ema, 16).norm(dim=1).mean().item())
print(fingerprint(model, ema))
