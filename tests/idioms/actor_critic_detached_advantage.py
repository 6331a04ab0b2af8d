"""A2C: two networks, two optimizers, the critic's value detached in the actor's loss and the
bootstrapped target computed with grad on but detached."""

import torch
from torch import nn, optim
from torch.distributions import Normal
from weights import fingerprint

torch.manual_seed(11)
actor = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
critic = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
log_std = nn.Parameter(torch.zeros(1))
opt_actor = optim.Adam([*actor.parameters(), log_std], lr=3e-3)
opt_critic = optim.Adam(critic.parameters(), lr=3e-3)

state = torch.randn(8, 2)
for update in range(30):
    log_probs, values, rewards = [], [], []
    for _ in range(5):
        dist = Normal(actor(state), log_std.exp())
        action = dist.sample()
        log_probs.append(dist.log_prob(action))
        values.append(critic(state))
        rewards.append(-(action - state.sum(1, keepdim=True)).abs())
        state = 0.5 * state + torch.randn(8, 2)
    R = critic(state).detach()
    returns = []
    for r in reversed(rewards):
        R = r + 0.9 * R
        returns.insert(0, R)
    log_probs, values, returns = torch.cat(log_probs), torch.cat(values), torch.cat(returns)
    advantage = returns - values
    actor_loss = -(log_probs * advantage.detach()).mean() - 1e-3 * log_std.sum()
    critic_loss = advantage.pow(2).mean()
    opt_actor.zero_grad()
    opt_critic.zero_grad()
    actor_loss.backward()
    critic_loss.backward()
    opt_actor.step()
    opt_critic.step()
    if update % 10 == 0:
        print(update, actor_loss.item(), critic_loss.item())
print(fingerprint(actor, critic, log_std))
