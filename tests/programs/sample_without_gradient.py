"""SL213 sample-without-gradient. `# SL213` marks where the finding must point."""

import torch
from torch import nn
from torch.distributions import Categorical, Independent, Normal, kl_divergence
from torch.nn import functional as F


def build():
    encoder, decoder = nn.Linear(6, 4), nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 6))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    return encoder, decoder, torch.optim.Adam(parameters, lr=1e-2)


def normal(mean, log_scale):
    return Normal(mean, log_scale.exp())


def learn(optimizer, loss_of):
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(torch.randn(8, 6)).backward()
        optimizer.step()


def bad_autoencoder():
    encoder, decoder, optimizer = build()

    def loss_of(x):
        posterior = normal(*encoder(x).chunk(2, 1))
        code = posterior.sample()  # SL213
        prior = Normal(torch.zeros(8, 2), torch.ones(8, 2))
        return F.mse_loss(decoder(code), x) + 0.1 * kl_divergence(posterior, prior).mean()

    learn(optimizer, loss_of)


def bad_independent_with_an_entropy():
    encoder, decoder, optimizer = build()

    def loss_of(x):
        posterior = Independent(normal(*encoder(x).chunk(2, 1)), 1)
        rebuilt = decoder(posterior.sample())  # SL213
        return F.mse_loss(rebuilt, x) - 0.1 * posterior.entropy().mean()

    learn(optimizer, loss_of)


def bad_actor_that_no_critic_reaches():
    actor, critic, _ = build()
    optimizer = torch.optim.Adam(actor.parameters(), lr=1e-2)
    critic.requires_grad_(False)

    def loss_of(x):
        policy = normal(*actor(x).chunk(2, 1))
        drawn = policy.sample()  # SL213
        action = drawn.tanh()
        chosen = policy.log_prob(drawn) - (1 - action.pow(2) + 1e-6).log()
        return (0.1 * chosen.sum(1) - critic(action).mean(1)).mean()

    learn(optimizer, loss_of)


def bad_entropy_of_samples():
    actor, _, _ = build()
    optimizer = torch.optim.Adam(actor.parameters(), lr=1e-2)

    def loss_of(x):
        policy = Independent(normal(*actor(x).chunk(2, 1)), 1)
        entropy = -policy.log_prob(policy.sample()).mean()  # SL213
        return policy.mean.pow(2).mean() - 0.1 * entropy

    learn(optimizer, loss_of)


def good_rsample():
    encoder, decoder, optimizer = build()

    def loss_of(x):
        posterior = normal(*encoder(x).chunk(2, 1))
        prior = Normal(torch.zeros(8, 2), torch.ones(8, 2))
        kl = kl_divergence(posterior, prior).mean()
        return F.mse_loss(decoder(posterior.rsample()), x) + 0.1 * kl

    learn(optimizer, loss_of)


def fine_weighed_by_log_prob():
    encoder, decoder, optimizer = build()

    def loss_of(x):
        policy = normal(*encoder(x).chunk(2, 1))
        action = policy.sample()
        cost = (decoder(action) - x).pow(2).mean(1)
        chosen = policy.log_prob(action).sum(1)
        return cost.mean() + (cost.detach() * chosen).mean() - 0.01 * policy.entropy().mean()

    learn(optimizer, loss_of)


def fine_returns_of_single_steps():
    actor, _, _ = build()
    optimizer = torch.optim.Adam(actor.parameters(), lr=1e-2)

    def loss_of(x):
        losses = []
        for state in x[:3]:
            policy = normal(*actor(state).chunk(2))
            action = policy.sample()
            losses.append(-policy.log_prob(action).sum() * action.pow(2).sum().item())
        return torch.stack(losses).sum()

    learn(optimizer, loss_of)
    learn(optimizer, lambda x: single_step(actor, x[0]))


def single_step(actor, state):
    policy = normal(*actor(state).chunk(2))
    action = policy.sample()
    return -policy.log_prob(action).sum() * action.pow(2).sum().item()


def fine_learnt_by_another_distribution():
    teacher, student = nn.Linear(6, 4), nn.Linear(6, 4)
    optimizer = torch.optim.Adam([*teacher.parameters(), *student.parameters()], lr=1e-2)

    def loss_of(x):
        taught = normal(*teacher(x).chunk(2, 1))
        told = normal(*student(x).chunk(2, 1))
        return taught.mean.pow(2).mean() - told.log_prob(taught.sample()).sum(1).mean()

    learn(optimizer, loss_of)


def fine_entropy_beside_weighed():
    actor, _, _ = build()
    optimizer = torch.optim.Adam(actor.parameters(), lr=1e-2)

    def loss_of(x):
        policy = normal(*actor(x).chunk(2, 1))
        action = policy.sample()
        chosen = policy.log_prob(action).sum(1)
        return (chosen * action.pow(2).mean(1)).mean() + 0.01 * chosen.mean()

    learn(optimizer, loss_of)


def fine_classes():
    encoder, decoder, optimizer = build()

    def loss_of(x):
        policy = Categorical(logits=encoder(x)[:, :2])
        chosen = F.one_hot(policy.sample(), 2).float()
        return F.mse_loss(decoder(chosen), x) - policy.entropy().mean()

    learn(optimizer, loss_of)


def fine_action_that_is_carried_out():
    encoder, decoder, optimizer = build()

    def loss_of(x):
        policy = normal(*encoder(x).chunk(2, 1))
        moved = x[:, :2] + policy.sample()
        return (
            (policy.mean - moved.clamp(-1, 1)).pow(2).mean()
            - policy.entropy().mean()
            + (decoder(x[:, :2]).pow(2).mean())
        )

    learn(optimizer, loss_of)


def bad_normal_of_torch():
    encoder, decoder, optimizer = build()

    def loss_of(x):
        mean, log_scale = encoder(x).chunk(2, 1)
        code = torch.normal(mean, log_scale.exp())  # SL213
        return F.mse_loss(decoder(code), x) + 0.1 * mean.pow(2).mean()

    learn(optimizer, loss_of)


def good_normal_scaled_by_hand():
    encoder, decoder, optimizer = build()

    def loss_of(x):
        mean, log_scale = encoder(x).chunk(2, 1)
        code = torch.normal(0.0, 1.0, mean.shape) * log_scale.exp() + mean
        return F.mse_loss(decoder(code), x) + 0.1 * mean.pow(2).mean()

    learn(optimizer, loss_of)


def fine_action_drawn_by_normal_of_torch():
    actor, _, _ = build()
    optimizer = torch.optim.Adam(actor.parameters(), lr=1e-2)

    def loss_of(x):
        mean, log_scale = actor(x).chunk(2, 1)
        action = torch.normal(mean, log_scale.exp())
        chosen = Normal(mean, log_scale.exp()).log_prob(action.detach()).sum(1)
        return -(chosen * action.detach().tanh().mean(1)).mean()

    learn(optimizer, loss_of)


def fine_density_of_what_normal_of_torch_drew_by_hand():
    actor, _, _ = build()
    optimizer = torch.optim.Adam(actor.parameters(), lr=1e-2)

    def loss_of(x):
        mean, log_scale = actor(x).chunk(2, 1)
        action = torch.normal(mean, log_scale.exp())
        squares = action * action - 2 * action * mean + mean * mean
        chosen = -(squares / (2 * (2 * log_scale).exp()) + log_scale).sum(1)
        return -(chosen * action.detach().tanh().mean(1)).mean()

    learn(optimizer, loss_of)


def conditional(draw):
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(6 + 2, 8), nn.Linear(4 + 2, 6)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)

    def loss_of(x):
        mean, log_scale = encoder(torch.cat([x, x[:, :2].sign()], 1)).chunk(2, 1)
        code = draw(mean, log_scale.exp())
        rebuilt = decoder(torch.cat([code, x[:, :2].sign()], 1))
        return F.mse_loss(rebuilt, x) + 0.1 * (mean.pow(2) + log_scale.pow(2)).mean()

    learn(optimizer, loss_of)


def bad_normal_of_torch_beside_a_condition():
    conditional(lambda mean, scale: torch.normal(mean, scale))  # SL213


def bad_sample_beside_a_condition():
    conditional(lambda mean, scale: Normal(mean, scale).sample())  # SL213


def good_sample_with_gradient_beside_a_condition():
    conditional(lambda mean, scale: Normal(mean, scale).rsample())


def fine_action_beside_the_state_for_a_critic():
    torch.manual_seed(0)
    actor, critic = nn.Linear(6, 4), nn.Linear(6 + 2, 1)
    optimizer = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-2)

    def loss_of(x):
        mean, log_scale = actor(x).chunk(2, 1)
        policy = Normal(mean, log_scale.exp())
        action = policy.sample()
        value = critic(torch.cat([x, action], 1))
        chosen = policy.log_prob(action).sum(1, keepdim=True)
        return -(chosen * value.detach()).mean() + (value - x[:, :1]).pow(2).mean()

    learn(optimizer, loss_of)
