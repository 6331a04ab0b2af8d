"""Double dueling Q-learning with a target made by deepcopy and moved softly after each step."""

import copy

import torch
from torch import nn
from weights import fingerprint


class Dueling(nn.Module):
    def __init__(self, obs=5, acts=3):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(obs, 24), nn.ReLU())
        self.value, self.advantage = nn.Linear(24, 1), nn.Linear(24, acts)

    def forward(self, x):
        h = self.trunk(x)
        a = self.advantage(h)
        return self.value(h) + a - a.mean(1, keepdim=True)


def soft_update(source, target, tau):
    for s, t in zip(source.parameters(), target.parameters(), strict=True):
        t.data.copy_(tau * s.data + (1.0 - tau) * t.data)


torch.manual_seed(3)
q = Dueling()
q_target = copy.deepcopy(q).requires_grad_(False)
opt = torch.optim.Adam(q.parameters(), lr=1e-3)
buffer = {
    "obs": torch.randn(400, 5),
    "act": torch.randint(0, 3, (400, 1)),
    "rew": torch.rand(400, 1),
    "next": torch.randn(400, 5),
    "done": (torch.rand(400, 1) < 0.1).float(),
}
for it in range(60):
    i = torch.randint(0, 400, (32,))
    b = {k: v[i] for k, v in buffer.items()}
    with torch.no_grad():
        best = q(b["next"]).argmax(1, keepdim=True)
        target = b["rew"] + 0.95 * (1 - b["done"]) * q_target(b["next"]).gather(1, best)
    loss = nn.functional.mse_loss(q(b["obs"]).gather(1, b["act"]), target)
    opt.zero_grad()
    loss.backward()
    opt.step()
    soft_update(q, q_target, 0.01)
    if it % 15 == 0:
        print(it, loss.item())
print(fingerprint(q, q_target))
