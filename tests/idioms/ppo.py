"""PPO as in CleanRL: one body for actor and critic, rollout under no_grad with the model in train
mode, several epochs over the same stored log-probabilities, learning rate annealed by hand."""

import torch
import torch.nn as nn
from torch.distributions.categorical import Categorical
from weights import fingerprint


def layer_init(layer, std=2**0.5, bias=0.0):
    torch.nn.init.orthogonal_(layer.weight, std)
    torch.nn.init.constant_(layer.bias, bias)
    return layer


class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(layer_init(nn.Linear(4, 32)), nn.Tanh())
        self.actor = layer_init(nn.Linear(32, 3), std=0.01)
        self.critic = layer_init(nn.Linear(32, 1), std=1.0)

    def get_value(self, x):
        return self.critic(self.body(x))

    def get_action_and_value(self, x, action=None):
        hidden = self.body(x)
        probs = Categorical(logits=self.actor(hidden))
        if action is None:
            action = probs.sample()
        return action, probs.log_prob(action), probs.entropy(), self.critic(hidden)


class Env:
    def __init__(self, n):
        self.x = torch.randn(n, 4)

    def step(self, action):
        reward = (action == (self.x[:, 0] > 0).long()).float()
        self.x = 0.9 * self.x + 0.3 * torch.randn_like(self.x)
        return self.x, reward, (torch.rand(len(action)) < 0.05).float()


torch.manual_seed(1)
n_envs, n_steps, updates, lr = 4, 16, 6, 2.5e-3
envs, agent = Env(n_envs), Agent()
optimizer = torch.optim.Adam(agent.parameters(), lr=lr, eps=1e-5)
obs = torch.zeros(n_steps, n_envs, 4)
actions, logprobs, rewards, dones, values = (torch.zeros(n_steps, n_envs) for _ in range(5))
next_obs, next_done = envs.x, torch.zeros(n_envs)

for update in range(1, updates + 1):
    optimizer.param_groups[0]["lr"] = (1.0 - (update - 1.0) / updates) * lr
    for step in range(n_steps):
        obs[step], dones[step] = next_obs, next_done
        with torch.no_grad():
            action, logprob, _, value = agent.get_action_and_value(next_obs)
            values[step] = value.flatten()
        actions[step], logprobs[step] = action, logprob
        next_obs, rewards[step], next_done = envs.step(action)

    with torch.no_grad():
        next_value = agent.get_value(next_obs).reshape(1, -1)
        advantages, last = torch.zeros_like(rewards), 0
        for t in reversed(range(n_steps)):
            alive = 1.0 - (next_done if t == n_steps - 1 else dones[t + 1])
            following = next_value if t == n_steps - 1 else values[t + 1]
            delta = rewards[t] + 0.99 * following * alive - values[t]
            advantages[t] = last = delta + 0.99 * 0.95 * alive * last
        returns = advantages + values

    b_obs, b_actions = obs.reshape(-1, 4), actions.reshape(-1).long()
    b_logprobs, b_adv, b_returns = logprobs.reshape(-1), advantages.reshape(-1), returns.reshape(-1)
    for _ in range(4):
        for mb in torch.randperm(n_envs * n_steps).split(16):
            _, newlogprob, entropy, newvalue = agent.get_action_and_value(b_obs[mb], b_actions[mb])
            ratio = (newlogprob - b_logprobs[mb]).exp()
            adv = (b_adv[mb] - b_adv[mb].mean()) / (b_adv[mb].std() + 1e-8)
            pg_loss = torch.max(-adv * ratio, -adv * ratio.clamp(0.8, 1.2)).mean()
            v_loss = 0.5 * ((newvalue.view(-1) - b_returns[mb]) ** 2).mean()
            loss = pg_loss - 0.01 * entropy.mean() + v_loss * 0.5
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()
    print(update, rewards.mean().item(), loss.item())
print(fingerprint(agent))
