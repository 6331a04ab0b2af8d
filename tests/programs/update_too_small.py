"""SL606 update-too-small. `# SL606` marks the lines at which the note must point."""

import torch
from torch import nn


def train(model, optimizer, steps=14, schedule=None):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(16, 4)).pow(2).mean().backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()


def bad_rate_off_by_orders():
    model = nn.Linear(4, 1, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-11)  # SL606
    for _ in range(14):
        optimizer.zero_grad()
        model(torch.randn(16, 4, dtype=torch.float64)).pow(2).mean().backward()
        optimizer.step()


def good_rate():
    model = nn.Linear(4, 1)
    train(model, torch.optim.SGD(model.parameters(), lr=1e-3))


def fine_warm_up():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-8)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 + step)
    train(model, optimizer, 20, schedule)


def fine_converged():
    model = nn.Linear(4, 1)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.zero_()
    train(model, torch.optim.SGD(model.parameters(), lr=0.1))
