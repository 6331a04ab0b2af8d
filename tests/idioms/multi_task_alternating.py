"""Two tasks with an optimizer each over a shared body: both hold the body's parameters, and each
turn begins with its own clear."""

import torch
from torch import nn, optim
from weights import fingerprint

torch.manual_seed(28)
body = nn.Sequential(nn.Linear(8, 24), nn.Tanh())
head_a, head_b = nn.Linear(24, 3), nn.Linear(24, 1)
model = nn.ModuleDict({"body": body, "a": head_a, "b": head_b})
opt_a = optim.Adam([*body.parameters(), *head_a.parameters()], lr=1e-3)
opt_b = optim.Adam([*body.parameters(), *head_b.parameters()], lr=1e-3)
x = torch.randn(128, 8)
ya, yb = x[:, :3].argmax(1), x.mean(1, keepdim=True)

for it in range(40):
    i = torch.randint(0, 128, (32,))
    if it % 2 == 0:
        opt_a.zero_grad()
        loss_a = nn.functional.cross_entropy(head_a(body(x[i])), ya[i])
        loss_a.backward()
        opt_a.step()
    else:
        opt_b.zero_grad()
        loss_b = nn.functional.mse_loss(head_b(body(x[i])), yb[i])
        loss_b.backward()
        opt_b.step()
    if it % 10 == 9:
        print(it, loss_a.item(), loss_b.item())
print(fingerprint(model))
