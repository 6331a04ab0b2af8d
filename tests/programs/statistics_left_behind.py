"""SL107 statistics-left-behind. `# SL107` marks where the finding must point."""

import copy

import torch
from torch import nn
from torch.optim import swa_utils


def build():
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1))
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def learn(model, optimizer, update, epochs=3):
    for _ in range(epochs):
        model.train()
        for _ in range(4):
            x = torch.randn(16, 4) * 3 + 1
            optimizer.zero_grad()
            (model(x) - x[:, :1]).pow(2).mean().backward()
            optimizer.step()
            update()


def ask(model):
    model.eval()
    with torch.no_grad():
        return model(torch.randn(16, 4) * 3 + 1)


def bad_average_of_parameters_alone():
    model, optimizer = build()
    ema = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update():
        for e, p in zip(ema.parameters(), model.parameters(), strict=True):
            e.mul_(0.9).add_(p, alpha=0.1)  # SL107

    learn(model, optimizer, update)
    ask(ema)


def bad_weights_loaded_without_buffers():
    model, optimizer = build()
    learn(model, optimizer, lambda: None)
    other = build()[0]
    other.load_state_dict(dict(model.named_parameters()), strict=False)
    other.eval()
    with torch.no_grad():
        other(torch.randn(16, 4))  # SL107


def good_buffers_as_well():
    model, optimizer = build()
    ema = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update():
        for e, p in zip(ema.parameters(), model.parameters(), strict=True):
            e.mul_(0.9).add_(p, alpha=0.1)
        for e, b in zip(ema.buffers(), model.buffers(), strict=True):
            e.copy_(b)

    learn(model, optimizer, update)
    ask(ema)


def good_update_bn():
    model, optimizer = build()
    ema = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update():
        for e, p in zip(ema.parameters(), model.parameters(), strict=True):
            e.lerp_(p, 0.1)

    learn(model, optimizer, update)
    torch.optim.swa_utils.update_bn([torch.randn(16, 4) for _ in range(4)], ema)
    ask(ema)


def fine_untrained_model():
    model, optimizer = build()
    before = copy.deepcopy(model)
    learn(model, optimizer, lambda: None)
    ask(before)
    ask(model)


def fine_teacher_in_train_mode():
    model, optimizer = build()
    teacher = copy.deepcopy(model).requires_grad_(False)

    @torch.no_grad()
    def update():
        for e, p in zip(teacher.parameters(), model.parameters(), strict=True):
            e.lerp_(p, 0.1)
        teacher(torch.randn(16, 4))

    learn(model, optimizer, update)
    ask(teacher)


def average(options=None, finish=lambda swa: None, train=lambda model: model.train()):
    model, optimizer = build()
    learn(model, optimizer, lambda: None, epochs=1)
    swa = swa_utils.AveragedModel(model, **(options or {}))
    for epoch in range(5):
        train(model)
        for _ in range(4):
            x = torch.randn(16, 4) * 3 + 1
            optimizer.zero_grad()
            (model(x) - x[:, :1]).pow(2).mean().backward()
            optimizer.step()
        if epoch >= 2:
            swa.update_parameters(model)
    finish(swa)
    ask(swa)


def bad_average_with_the_last_statistics():
    model, optimizer = build()
    swa = swa_utils.AveragedModel(model)
    for _ in range(4):
        learn(model, optimizer, lambda: None, epochs=1)
        swa.update_parameters(model)  # SL107
        ask(swa)


def good_average_through_update_bn():
    data = [torch.randn(16, 4) * 3 + 1 for _ in range(4)]
    average(finish=lambda swa: swa_utils.update_bn(data, swa))


def fine_statistics_by_hand():
    def forwards(swa):
        swa.train()
        with torch.no_grad():
            for _ in range(4):
                swa.module(torch.randn(16, 4) * 3 + 1)

    average(finish=forwards)


def fine_looked_at_on_the_way():
    model, optimizer = build()
    swa = swa_utils.AveragedModel(model)
    for _ in range(4):
        learn(model, optimizer, lambda: None, epochs=1)
        swa.update_parameters(model)
        ask(swa)
    swa_utils.update_bn([torch.randn(16, 4) * 3 + 1 for _ in range(4)], swa)


def fine_averages_of_another_kind():
    average({"use_buffers": True})
    average({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.9)})


def fine_average_of_one_or_of_frozen_statistics():
    def frozen(model):
        model.train()
        model[1].eval()

    average(train=frozen)
    model, optimizer = build()
    swa = swa_utils.AveragedModel(model)
    learn(model, optimizer, lambda: None)
    swa.update_parameters(model)
    ask(swa)
