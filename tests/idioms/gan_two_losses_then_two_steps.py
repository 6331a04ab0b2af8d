"""Both losses are made and backwarded (with inputs=) before either optimizer steps."""

import torch
import torch.nn.functional as F
from torch import nn, optim
from weights import fingerprint

torch.manual_seed(4)
G = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 8))
D = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
opt_g = optim.Adam(G.parameters(), lr=1e-3)
opt_d = optim.Adam(D.parameters(), lr=1e-3)

for it in range(25):
    real = torch.randn(64, 8) + 2
    fake = G(torch.randn(64, 5))
    on_fake = D(fake)
    loss_d = F.softplus(-D(real)).mean() + F.softplus(D(fake.detach())).mean()
    loss_g = F.softplus(-on_fake).mean()

    opt_g.zero_grad(set_to_none=True)
    opt_d.zero_grad(set_to_none=True)
    loss_g.backward(inputs=list(G.parameters()))
    loss_d.backward(inputs=list(D.parameters()))
    opt_g.step()
    opt_d.step()
    if it % 8 == 0:
        print(it, round(loss_d.item(), 6), round(loss_g.item(), 6))
print(fingerprint(G, D))
