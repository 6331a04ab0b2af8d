"""Random network distillation beside an actor-critic: a frozen random target, a predictor trained
on its outputs, rewards made of the error without grad; rollouts in train mode, one optimizer for
all."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Categorical
from weights import fingerprint


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 32), nn.Tanh())
        self.actor, self.outer, self.inner = nn.Linear(32, 3), nn.Linear(32, 1), nn.Linear(32, 1)

    def forward(self, x):
        h = self.body(x)
        return Categorical(logits=self.actor(h)), self.outer(h)[:, 0], self.inner(h)[:, 0]


torch.manual_seed(64)
agent = Agent()
target = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
predictor = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8))
for p in target.parameters():
    p.requires_grad = False
optimizer = torch.optim.Adam([*agent.parameters(), *predictor.parameters()], lr=1e-3, eps=1e-5)
state = torch.randn(8, 4)
for update in range(6):
    states, actions, old, rewards, bonuses, values = [], [], [], [], [], []
    for _ in range(8):
        with torch.no_grad():
            policy, outer, inner = agent(state)
            action = policy.sample()
            bonus = (target(state) - predictor(state)).pow(2).mean(1)
        states.append(state)
        actions.append(action)
        old.append(policy.log_prob(action))
        values.append(torch.stack([outer, inner]))
        rewards.append((state[:, 0] * (action - 1)).tanh())
        bonuses.append(bonus)
        state = 0.9 * state + 0.3 * torch.randn_like(state)
    with torch.no_grad():
        returns = torch.stack([torch.stack(rewards), torch.stack(bonuses)], 1).flip(0).cumsum(0)
        returns = returns.flip(0) / 8
        advantage = (returns - torch.stack(values)).sum(1).flatten()
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    flat, flat_actions = torch.cat(states), torch.cat(actions)
    flat_old, flat_returns = torch.cat(old), returns.transpose(0, 1).flatten(1)
    for _ in range(2):
        for rows in torch.randperm(64).split(32):
            policy, outer, inner = agent(flat[rows])
            ratio = (policy.log_prob(flat_actions[rows]) - flat_old[rows]).exp()
            surrogate = torch.min(ratio * advantage[rows], ratio.clamp(0.8, 1.2) * advantage[rows])
            error = F.mse_loss(predictor(flat[rows]), target(flat[rows]).detach(), reduction="none")
            mask = (torch.rand(len(rows)) < 0.5).float()
            forward_loss = (error.mean(1) * mask).sum() / mask.sum().clamp_min(1)
            value_loss = F.mse_loss(outer, flat_returns[0][rows])
            value_loss = value_loss + F.mse_loss(inner, flat_returns[1][rows])
            loss = -surrogate.mean() + 0.5 * value_loss + forward_loss
            loss = loss - 0.01 * policy.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
    print(update, loss.item())
print(fingerprint(agent, predictor))
