"""Deep ensemble: many models in a plain list, each with its own optimizer, trained in lockstep on
bootstrap samples; Gaussian NLL with a predicted variance."""

import torch
import torch.nn as nn
from weights import fingerprint


class Member(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(1, 24)
        self.out = nn.Linear(24, 2)

    def forward(self, x):
        mean, raw = self.out(torch.relu(self.hidden(x))).split(1, dim=1)
        return mean, nn.functional.softplus(raw) + 1e-4


torch.manual_seed(17)
x = torch.randn(128, 1)
y = x**2 + 0.1 * torch.randn_like(x)
members = [Member() for _ in range(5)]
optimizers = [torch.optim.Adam(m.parameters(), lr=0.01) for m in members]
nll = nn.GaussianNLLLoss()
bags = [torch.randint(0, 128, (128,)) for _ in members]
for step in range(40):
    losses = []
    for member, optimizer, bag in zip(members, optimizers, bags, strict=True):
        i = bag[torch.randperm(128)[:32]]
        optimizer.zero_grad()
        mean, var = member(x[i])
        loss = nll(mean, y[i], var)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if step % 10 == 0:
        print(step, sum(losses) / 5)
for m in members:
    m.eval()
with torch.inference_mode():
    means = torch.stack([m(torch.linspace(-3, 3, 7)[:, None])[0] for m in members])
print("disagreement", means.std(0).flatten().tolist())
print(fingerprint(*members))
