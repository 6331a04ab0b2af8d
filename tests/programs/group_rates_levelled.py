"""SL321 group-rates-levelled. `# SL321` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.optim import lr_scheduler


def build(slow=1e-4, fast=1e-2, **options):
    body, head = nn.Linear(4, 8), nn.Linear(8, 1)
    groups = [{"params": body.parameters(), "lr": slow}, {"params": head.parameters(), **options}]
    return nn.Sequential(body, nn.ReLU(), head), torch.optim.AdamW(groups, lr=fast)


def train(model, optimizer, scheduler=None, steps=8):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


def bad_one_maximum_for_all_groups():
    model, optimizer = build()
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=8)  # SL321
    train(model, optimizer, scheduler)


def bad_one_cycle_between_two_rates():
    model, optimizer = build()
    scheduler = lr_scheduler.CyclicLR(  # SL321
        optimizer, 1e-3, 1e-2, step_size_up=4, cycle_momentum=False
    )
    train(model, optimizer, scheduler)


def good_a_maximum_for_each_group():
    model, optimizer = build()
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=[1e-4, 1e-2], total_steps=8)
    train(model, optimizer, scheduler)


def fine_groups_with_one_rate():
    model, optimizer = build(1e-2, weight_decay=0.0)
    train(model, optimizer, lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=8))


def fine_schedules_that_multiply():
    model, optimizer = build()
    train(model, optimizer, lr_scheduler.LinearLR(optimizer, 0.1, total_iters=4))
    model, optimizer = build()
    train(model, optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 8))


def fine_a_second_phase_with_one_rate():
    model, optimizer = build()
    train(model, optimizer)
    train(model, optimizer, lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=8))


def fine_rates_set_after_it():
    model, optimizer = build()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=8)
    for group, rate in zip(optimizer.param_groups, (1e-4, 1e-2), strict=True):
        group |= {"lr": rate / 25, "initial_lr": rate / 25, "max_lr": rate, "min_lr": rate / 1e5}
    train(model, optimizer, scheduler)


def fine_made_and_not_used():
    model, optimizer = build()
    scheduler = lr_scheduler.CyclicLR(optimizer, 1e-3, 1e-2, step_size_up=4, cycle_momentum=False)
    for group, rate in zip(optimizer.param_groups, (1e-4, 1e-2), strict=True):
        group["lr"] = rate
    del scheduler
    train(model, optimizer)
