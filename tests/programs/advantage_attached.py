"""SL523 advantage-attached. `# SL523` marks where the finding must point."""

import torch
from torch import nn
from torch.distributions import Categorical, Normal
from torch.nn import functional as F


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Linear(4, 16)
        self.actor = nn.Linear(16, 3)
        self.critic = nn.Linear(16, 1)

    def forward(self, x):
        h = torch.tanh(self.trunk(x))
        return self.actor(h), self.critic(h)


def train(update, rows=12):
    torch.manual_seed(0)
    model = ActorCritic()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(5):
        scores, values = model(torch.randn(rows, 4))
        loss = update(scores, values.squeeze(1), torch.randn(rows))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_advantage_squared():
    def update(scores, values, returns):
        policy = Categorical(logits=scores)
        log_probs = policy.log_prob(policy.sample())
        advantage = returns - values
        return -(log_probs * advantage).mean() + 0.5 * advantage.pow(2).mean()  # SL523

    train(update)


def bad_error_of_the_values():
    def update(scores, values, returns):
        policy = Categorical(probs=scores.softmax(1))
        actor = -policy.log_prob(policy.sample()) * (returns - values)  # SL523
        return actor.mean() + F.mse_loss(values, returns)

    train(update)


def bad_log_softmax_by_hand():
    def update(scores, values, returns):
        action = torch.randint(0, 3, (len(returns), 1))
        log_probs = F.log_softmax(scores, 1).gather(1, action).squeeze(1)
        advantage = returns - values
        actor = -(advantage * log_probs).sum()  # SL523
        return actor + F.smooth_l1_loss(values, returns)

    train(update)


def bad_continuous_actions():
    def update(scores, values, returns):
        policy = Normal(scores, 0.5)
        log_probs = policy.log_prob(policy.sample()).sum(1)
        advantage = returns - values
        return (-log_probs * advantage).mean() + (advantage * advantage).mean()  # SL523

    train(update)


def bad_ratio_of_ppo():
    def update(scores, values, returns):
        policy = Categorical(logits=scores)
        log_probs = policy.log_prob(policy.sample())
        ratio = torch.exp(log_probs - log_probs.detach())
        advantage = returns - values
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        kept = torch.clamp(ratio, 0.8, 1.2) * advantage  # SL523
        actor = -torch.min(ratio * advantage, kept).mean()  # SL523
        return actor + F.mse_loss(values, returns)

    train(update)


def bad_step_by_step():
    def update(scores, values, returns):
        actor = critic = 0.0
        for score, value, reached in zip(scores, values, returns, strict=True):
            policy = Categorical(logits=score)
            advantage = reached - value
            actor = actor - policy.log_prob(policy.sample()) * advantage  # SL523
            critic = critic + F.smooth_l1_loss(value, reached)
        return actor + critic

    train(update)


def good_detached():
    def update(scores, values, returns):
        policy = Categorical(logits=scores)
        log_probs = policy.log_prob(policy.sample())
        advantage = returns - values
        return -(log_probs * advantage.detach()).mean() + 0.5 * advantage.pow(2).mean()

    train(update)


def fine_a_discrete_soft_critic():
    def update(scores, values, returns):
        log_probs = F.log_softmax(scores, 1)
        actor = (log_probs.exp() * (0.2 * log_probs - values[:, None])).sum(1).mean()
        return actor + F.mse_loss(values, returns)

    train(update)


def fine_samples_weighted_by_a_network():
    def update(scores, values, returns):
        losses = F.cross_entropy(scores, torch.randint(0, 3, (len(returns),)), reduction="none")
        return (losses * values.sigmoid()).mean() + values.square().mean()

    train(update)


def fine_a_value_without_a_loss_of_its_own():
    def update(scores, values, returns):
        policy = Categorical(logits=scores)
        return -(policy.log_prob(policy.sample()) * (returns - values)).mean()

    train(update)


def fine_an_entropy():
    def update(scores, values, returns):
        policy = Categorical(logits=scores)
        advantage = (returns - values).detach()
        actor = -(policy.log_prob(policy.sample()) * advantage).mean()
        return actor + F.mse_loss(values, returns) - 0.01 * policy.entropy().mean()

    train(update)
