"""SL602 exploding-gradients. `# SL602` marks the lines at which the finding must point."""

import torch
from torch import nn


def build(lr=0.01):
    model = nn.Linear(4, 1)
    return model, torch.optim.SGD(model.parameters(), lr=lr)


def bad_rate_too_high():
    model, optimizer = build(lr=2.0)
    x, y = torch.randn(64, 4), torch.randn(64, 1)
    for _ in range(40):
        optimizer.zero_grad()
        (model(x) - y).pow(2).mean().backward()
        optimizer.step()  # SL602


def good_clipped():
    model, optimizer = build(lr=2.0)
    x, y = torch.randn(64, 4), torch.randn(64, 1)
    for _ in range(40):
        optimizer.zero_grad()
        (model(x) - y).pow(2).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()


def fine_one_large_batch():
    model, optimizer = build(lr=1e-6)
    for step in range(30):
        optimizer.zero_grad()
        x = torch.randn(64, 4) * (100.0 if step == 15 else 1.0)
        model(x).pow(2).mean().backward()
        optimizer.step()


def fine_converged_then_a_new_task():
    model, optimizer = build(lr=0.1)
    x = torch.randn(64, 4)
    for step in range(200):
        optimizer.zero_grad()
        target = 0.0 if step < 150 else 1.0
        (model(x) - target).pow(2).mean().backward()
        optimizer.step()


def fine_new_data_after_a_perfect_fit():
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = torch.randn(16, 8), torch.randn(16, 1)
    for step in range(350):
        optimizer.zero_grad()
        if step < 300:
            (model(x) - y).pow(2).mean().backward()
        else:
            (model(torch.randn(16, 8) * 3) - 10).pow(2).mean().backward()
        optimizer.step()


def fine_penalty_that_weighs_more_from_some_step_on():
    """The loss and its gradient are multiplied, and Adam's steps stay as small as they were."""
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(120):
        x = torch.randn(64, 4)
        y = model(x)
        penalty = (y.sum(1) - x[:, 0] - x[:, 1]).pow(2).mean()
        loss = (y - x[:, :2]).pow(2).mean() + (1.0 if step < 60 else 1e5) * penalty
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
