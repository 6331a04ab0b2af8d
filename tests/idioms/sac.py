"""Soft actor-critic: two critics in one optimizer, the actor's loss through frozen-for-a-moment
critics, a temperature that is a lone leaf tensor with its own optimizer."""

import copy
from itertools import chain

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal
from weights import fingerprint


def mlp(i, o):
    return nn.Sequential(nn.Linear(i, 32), nn.ReLU(), nn.Linear(32, o))


class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = mlp(3, 2)

    def forward(self, obs):
        mu, log_std = self.net(obs).chunk(2, -1)
        dist = Normal(mu, log_std.clamp(-5, 2).exp())
        u = dist.rsample()
        logp = dist.log_prob(u) - 2 * (0.6931 - u - F.softplus(-2 * u))
        return torch.tanh(u), logp.sum(-1)


class Critics(nn.Module):
    def __init__(self):
        super().__init__()
        self.q1, self.q2 = mlp(4, 1), mlp(4, 1)

    def forward(self, obs, act):
        x = torch.cat([obs, act], -1)
        return self.q1(x).squeeze(-1), self.q2(x).squeeze(-1)


torch.manual_seed(4)
actor, critics = Actor(), Critics()
targets = copy.deepcopy(critics)
for p in targets.parameters():
    p.requires_grad = False
q_params = list(chain(critics.q1.parameters(), critics.q2.parameters()))
pi_opt = torch.optim.Adam(actor.parameters(), lr=1e-3)
q_opt = torch.optim.Adam(q_params, lr=1e-3)
log_alpha = torch.zeros(1, requires_grad=True)
a_opt = torch.optim.Adam([log_alpha], lr=3e-3)
obs, nxt = torch.randn(300, 3), torch.randn(300, 3)
act = torch.rand(300, 1) * 2 - 1
rew = -(act.squeeze() - obs[:, 0].tanh()).abs()

for it in range(50):
    i = torch.randint(0, 300, (32,))
    alpha = log_alpha.exp().item()
    with torch.no_grad():
        a2, logp2 = actor(nxt[i])
        backup = rew[i] + 0.98 * (torch.min(*targets(nxt[i], a2)) - alpha * logp2)
    q1, q2 = critics(obs[i], act[i])
    loss_q = F.mse_loss(q1, backup) + F.mse_loss(q2, backup)
    q_opt.zero_grad()
    loss_q.backward()
    q_opt.step()

    for p in q_params:
        p.requires_grad = False
    a, logp = actor(obs[i])
    loss_pi = (alpha * logp - torch.min(*critics(obs[i], a))).mean()
    pi_opt.zero_grad()
    loss_pi.backward()
    pi_opt.step()
    for p in q_params:
        p.requires_grad = True

    a_opt.zero_grad()
    (-(log_alpha * (logp + -1.0).detach()).mean()).backward()
    a_opt.step()
    with torch.no_grad():
        for p, t in zip(critics.parameters(), targets.parameters(), strict=True):
            t.mul_(0.995).add_(0.005 * p)
    if it % 10 == 0:
        print(it, loss_q.item(), loss_pi.item(), log_alpha.item())
print(fingerprint(actor, critics, targets, log_alpha))
