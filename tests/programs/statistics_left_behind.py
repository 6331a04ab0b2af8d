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


def bad_average_that_nothing_goes_into():
    model, optimizer = build()
    ema = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    for _ in range(3):
        learn(model, optimizer, lambda: None)
        ema.eval()
        with torch.no_grad():
            ema(torch.randn(16, 4))  # SL107


def bad_teacher_that_nothing_goes_into():
    student = nn.Linear(4, 4)
    teacher = swa_utils.AveragedModel(student)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for _ in range(40):
        x = torch.randn(16, 4)
        with torch.no_grad():
            wanted = teacher(x + 0.1 * torch.randn_like(x))  # SL107
        optimizer.zero_grad()
        (student(x) - x + 0.1 * (student(x) - wanted)).pow(2).mean().backward()
        optimizer.step()


def fine_average_asked_before_its_time():
    model, optimizer = build()
    ema = swa_utils.AveragedModel(model, use_buffers=True)
    for epoch in range(6):
        learn(model, optimizer, lambda: None)
        if epoch > 3:
            ema.update_parameters(model)
        ask(ema)


def fine_average_by_hand_or_loaded():
    model, optimizer = build()
    mine, data, loaded = (swa_utils.AveragedModel(model) for _ in range(3))
    for _ in range(3):
        learn(model, optimizer, lambda: None)
        with torch.no_grad():
            for e, p in zip(mine.module.parameters(), model.parameters(), strict=True):
                e.lerp_(p, 0.5)
            for e, p in zip(data.module.parameters(), model.parameters(), strict=True):
                e.data = 0.5 * e.data + 0.5 * p.data
        loaded.module.load_state_dict(model.state_dict())
        for average in (mine, data, loaded):
            average.module[1].load_state_dict(model[1].state_dict())
            ask(average)


def fine_average_never_asked():
    model, optimizer = build()
    swa_utils.AveragedModel(model)
    ema = swa_utils.AveragedModel(model)
    ask(ema)
    learn(model, optimizer, lambda: None, epochs=8)
