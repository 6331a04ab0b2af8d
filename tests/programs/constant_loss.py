"""SL607 constant-loss. `# SL607` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def build(outputs=1):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, outputs))
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def bad_cross_entropy_over_one_class():
    model, optimizer = build()
    for _ in range(8):
        logits, target = model(torch.randn(16, 4)), torch.zeros(16, dtype=torch.long)
        loss = F.cross_entropy(logits, target)  # SL607
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_clamped_output():
    model, optimizer = build()
    for _ in range(8):
        loss = (model(torch.randn(16, 4)) + 100).clamp(0, 1).sub(0.5).pow(2).mean()  # SL607
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_rounded_output():
    model, optimizer = build()
    for _ in range(8):
        predicted = torch.round(model(torch.randn(16, 4)))  # SL607
        loss = (predicted.squeeze(1) - torch.rand(16)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good_one_output():
    model, optimizer = build()
    for _ in range(8):
        y = torch.randint(0, 2, (16,)).float()
        loss = F.binary_cross_entropy_with_logits(model(torch.randn(16, 4)).squeeze(1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_masked_batches():
    model, optimizer = build()
    for step in range(10):
        mask = torch.zeros(16) if step % 2 else torch.ones(16)
        loss = (model(torch.randn(16, 4)).squeeze(1).pow(2) * mask).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_hinge_satisfied():
    model, optimizer = build()
    for _ in range(10):
        loss = F.relu(model(torch.randn(16, 4)) - 100).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_converged():
    model, optimizer = build()
    x = torch.zeros(4, 4)
    for _ in range(30):
        loss = F.relu(model(x) - model(x).detach().mean() + 0.01).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_policy_without_reward():
    model, optimizer = build(2)
    for _ in range(8):
        policy = torch.distributions.Categorical(logits=model(torch.randn(16, 4)))
        reward = torch.zeros(16)
        loss = -(policy.log_prob(policy.sample()) * reward).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_last_relu_that_dies():  # a note
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1), nn.ReLU())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(200):
        loss = (model(torch.randn(32, 4)) + 5 + torch.rand(32, 1)).pow(2).mean()  # SL607
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_hinge_that_is_met():
    model, optimizer = build()
    x = torch.randn(16, 4)
    y = (x[:, :1] > 0).float() * 2 - 1
    for _ in range(200):
        loss = (0.1 - y * model(x)).clamp(min=0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fine_a_leaf_has_a_backward_of_its_own():
    model, optimizer = build()
    scale = torch.zeros((), requires_grad=True)
    for _ in range(8):
        optimizer.zero_grad()
        model(torch.randn(16, 4)).pow(2).mean().backward()
        scale.backward()
        optimizer.step()
