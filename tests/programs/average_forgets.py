"""SL320 average-forgets. `# SL320` marks where the finding must point."""

import copy

import torch
from torch import nn


def build():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
    average = copy.deepcopy(model).requires_grad_(False)
    return model, average, torch.optim.Adam(model.parameters(), lr=1e-2)


def train(model, optimizer, update, steps=14, average=None):
    for _ in range(steps):
        x = torch.randn(8, 4)
        optimizer.zero_grad()
        target = average(x) if average is not None else x[:, :1]
        (model(x) - 0.9 * target).pow(2).mean().backward()
        optimizer.step()
        update()


def bad_factors_swapped():
    model, average, optimizer = build()
    decay = 0.99

    def update():
        with torch.no_grad():
            for e, p in zip(average.parameters(), model.parameters(), strict=True):
                e.mul_(1 - decay).add_(p, alpha=decay)  # SL320

    train(model, optimizer, update, average=average)


def bad_target_network_with_data():
    model, average, optimizer = build()
    tau = 0.005

    def update():
        for t, p in zip(average.parameters(), model.parameters(), strict=True):
            t.data.copy_(tau * t.data + (1 - tau) * p.data)  # SL320

    train(model, optimizer, update, average=average)


def bad_average_that_is_asked_late():
    model, average, optimizer = build()

    def update():
        with torch.no_grad():
            for e, p in zip(average.parameters(), model.parameters(), strict=True):
                e.lerp_(p, 0.98)  # SL320

    train(model, optimizer, update, 20)
    average(torch.randn(8, 4))
    train(model, optimizer, update, 20)


def good_factors():
    model, average, optimizer = build()
    decay = 0.99

    def update():
        with torch.no_grad():
            for e, p in zip(average.parameters(), model.parameters(), strict=True):
                e.mul_(decay).add_(p, alpha=1 - decay)

    train(model, optimizer, update, average=average)


def fine_whole_copies():
    model, average, optimizer = build()
    train(model, optimizer, lambda: average.load_state_dict(model.state_dict()), average=average)


def fine_decay_that_rises():
    model, average, optimizer = build()
    count = 0

    def update():
        nonlocal count
        decay = min(0.999, (1 + count) / (10 + count))
        count += 1
        with torch.no_grad():
            for e, p in zip(average.parameters(), model.parameters(), strict=True):
                e.lerp_(p, 1 - decay)

    train(model, optimizer, update, average=average)


def fine_noise_on_a_copy():
    model, average, optimizer = build()

    def update():
        with torch.no_grad():
            for e, p in zip(average.parameters(), model.parameters(), strict=True):
                e.copy_(p + 0.01 * torch.randn_like(p))

    train(model, optimizer, update, average=average)


def fine_mean_of_all_models():
    model, average, optimizer = build()
    count = 0

    def update():
        nonlocal count
        count += 1
        with torch.no_grad():
            for e, p in zip(average.parameters(), model.parameters(), strict=True):
                e.add_(p - e, alpha=1 / (count + 1))

    train(model, optimizer, update, average=average)
