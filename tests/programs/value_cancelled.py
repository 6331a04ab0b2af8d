"""SL521 value-cancelled. `# SL521` marks where the finding must point."""

import torch
from torch import nn
from torch.distributions import Normal
from torch.nn import functional as F


def train(pass_on, committed=True):
    model = nn.ModuleDict({
        "encoder": nn.Linear(4, 3), "codes": nn.Embedding(6, 3), "decoder": nn.Linear(3, 4)
    })  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(5):
        x = torch.randn(8, 4)
        z = model["encoder"](x)
        q = model["codes"](torch.cdist(z, model["codes"].weight).argmin(1))
        loss = F.mse_loss(model["decoder"](pass_on(z, q)), x) + F.mse_loss(q, z.detach())
        if committed:
            loss = loss + 0.25 * F.mse_loss(z, q.detach())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_straight_through_without_detach():
    def pass_on(z, q):
        return z + (q - z)  # SL521

    train(pass_on)


def bad_taken_away_first():
    def pass_on(z, q):
        return q - z + z  # SL521

    train(pass_on)


def bad_added_first():
    def pass_on(z, q):
        return z + q - z  # SL521

    train(pass_on)


def bad_the_codes_alone_detached():
    def pass_on(z, q):
        return z + (q.detach() - z)  # SL521

    train(pass_on)


def bad_hard_choice():
    def pass_on(z, q):
        soft = z.softmax(-1)
        hard = F.one_hot(soft.argmax(-1), 3).float()
        return hard - soft + soft  # SL521

    train(pass_on)


def good_difference_detached():
    def pass_on(z, q):
        return z + (q - z).detach()

    train(pass_on)


def good_hard_choice():
    def pass_on(z, q):
        soft = z.softmax(-1)
        hard = F.one_hot(soft.argmax(-1), 3).float()
        return hard - soft.detach() + soft

    train(pass_on)


def fine_part_of_the_way():
    def pass_on(z, q):
        return z + 0.5 * (q - z)

    train(pass_on)


def fine_mean_taken_and_given_back():
    def pass_on(z, q):
        mean = z.mean(0, keepdim=True)
        centred = nn.Identity()(z - mean)
        return centred + mean

    train(pass_on)


def fine_mean_of_another_shape():
    def pass_on(z, q):
        mean = z.mean(0, keepdim=True)
        return z - mean + mean

    train(pass_on)


def fine_other_weights():
    def pass_on(z, q):
        return torch.add(z, q - z, alpha=0.1)

    train(pass_on)


def fine_two_values_alike():
    def pass_on(z, q):
        return z.tanh() + (q - z.tanh())

    train(pass_on)


def fine_other_output():
    def pass_on(z, q):
        one, other = torch.cat([z, z], 1).chunk(2, 1)
        return one + (q - other)

    train(pass_on)


def fine_mean_that_a_density_takes_away():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(5):
        x = torch.randn(8, 4)
        mean, scale = model(x).chunk(2, 1)
        policy = Normal(mean, scale.exp() + (0.1 - 0.05))
        entropy = -policy.log_prob(policy.rsample()).mean()
        optimizer.zero_grad()
        (-policy.log_prob(x[:, :1]).mean() - 0.1 * entropy).backward()
        optimizer.step()
