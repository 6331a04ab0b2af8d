"""SL314 scheduler-drives-idle-optimizer. `# SL314` marks where the finding must point."""

import torch
from torch import nn
from torch.optim import lr_scheduler


def learn(model, optimizer, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_optimizer_made_anew():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)  # SL314
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(5):
        learn(model, optimizer)
        scheduler.step()


def bad_second_phase_keeps_the_schedule():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)  # SL314
    for epoch in range(8):
        if epoch == 3:
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        learn(model, optimizer)
        scheduler.step()


def good_both_made_anew():
    model = nn.Linear(4, 2)
    for _ in range(2):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
        for _ in range(4):
            learn(model, optimizer)
            scheduler.step()


def fine_two_networks_take_turns():
    models = [nn.Linear(4, 2), nn.Linear(4, 2)]
    optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in models]
    schedulers = [lr_scheduler.ExponentialLR(optimizer, 0.5) for optimizer in optimizers]
    for epoch in range(12):
        learn(models[epoch // 4 % 2], optimizers[epoch // 4 % 2])
        for scheduler in schedulers:
            scheduler.step()


class Wrapper(torch.optim.Optimizer):
    """Steps through another optimizer and shares its groups."""

    def __init__(self, inner):
        super().__init__(inner.param_groups, {})
        self.inner = inner
        self.param_groups = inner.param_groups

    def step(self, closure=None):
        return self.inner.step(closure)


def fine_wrapper_shares_its_groups():
    model = nn.Linear(4, 2)
    optimizer = Wrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    for _ in range(5):
        learn(model, optimizer)
        scheduler.step()


def fine_optimizers_that_share_a_model_take_turns():
    model = nn.Linear(4, 2)
    optimizers = [torch.optim.SGD(model.parameters(), lr=lr) for lr in (0.1, 0.01)]
    scheduler = lr_scheduler.ExponentialLR(optimizers[0], 0.9)
    for _ in range(5):
        learn(model, optimizers[0], 1)
        learn(model, optimizers[1], 1)
        scheduler.step()
