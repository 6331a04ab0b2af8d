"""SL319 plateau-mode-inverted. `# SL319` marks where the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import ReduceLROnPlateau


def build(**options):
    model = nn.Linear(4, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.1, **options)


def batch():
    x = torch.randn(64, 4)
    return x, (x[:, 0] > 0).long()


def train(model, optimizer):
    total = 0.0
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / 3


def evaluate(model, criterion, x, y):
    with torch.no_grad():
        out = model(x)
        loss = criterion(out, y)
        right = (out.argmax(1) == y).sum().item()
    return loss.item(), right / len(y)


def bad_loss_that_is_to_rise():
    model, optimizer = build()
    scheduler = ReduceLROnPlateau(optimizer, mode="max", factor=0.9, patience=1)  # SL319
    for _ in range(12):
        scheduler.step(train(model, optimizer))


def bad_right_answers_that_are_to_get_fewer():
    model, optimizer = build()
    x, y = batch()
    scheduler = ReduceLROnPlateau(optimizer, factor=0.9, patience=0)  # SL319
    nn.init.constant_(model.bias, 0.0)
    model.weight.data[:, 0] = torch.tensor([2.0, -2.0])
    for _ in range(20):
        train(model, optimizer)
        with torch.no_grad():
            accuracy = (model(x).argmax(1) == y).float().mean().item()
        scheduler.step(accuracy)


def bad_validation_loss_that_is_to_rise():
    model, optimizer = build()
    criterion = nn.CrossEntropyLoss()
    x, y = batch()
    scheduler = ReduceLROnPlateau(optimizer, "max", factor=0.9, patience=1)  # SL319
    for _ in range(12):
        train(model, optimizer)
        val_loss, _ = evaluate(model, criterion, x, y)
        scheduler.step(val_loss)


def good_each_its_way():
    model, optimizer = build()
    criterion = nn.CrossEntropyLoss()
    x, y = batch()
    falling = ReduceLROnPlateau(optimizer, factor=0.9, patience=0)
    rising = ReduceLROnPlateau(optimizer, mode="max", factor=0.9, patience=0)
    for _ in range(8):
        train(model, optimizer)
        val_loss, accuracy = evaluate(model, criterion, x, y)
        falling.step(val_loss)
        rising.step(accuracy)


def fine_errors_and_negative_losses():
    model, optimizer = build()
    x, y = batch()
    falling = ReduceLROnPlateau(optimizer, factor=0.9, patience=0, threshold=10.0)
    rising = ReduceLROnPlateau(optimizer, mode="max", factor=0.9, patience=0, threshold=10.0)
    worse = 0.0
    for number in range(8):
        train(model, optimizer)
        with torch.no_grad():
            out = model(x)
            errors = 1 - (out.argmax(1) == y).float().mean().item() + worse
            score = -F.cross_entropy(out, y).item() - worse
        worse = number / 4  # gets worse all the time
        falling.step(errors)
        rising.step(score)


def fine_optimizer_that_maximizes():
    model, optimizer = build(maximize=True)
    scheduler = ReduceLROnPlateau(optimizer, mode="max", factor=0.9, patience=0)
    lower = 0.0
    for _ in range(6):
        x, _ = batch()
        optimizer.zero_grad()
        loss = model(x).tanh().mean() - lower
        loss.backward()
        optimizer.step()
        lower += 1
        scheduler.step(loss.item())


def fine_false_alarms_that_are_to_get_fewer():
    model, optimizer = build()
    x, y = batch()
    scheduler = ReduceLROnPlateau(optimizer, factor=0.9, patience=0, threshold=10.0)
    more = 0.0
    for number in range(8):
        train(model, optimizer)
        with torch.no_grad():
            out = model(x).argmax(1)
            wrong = (out[y == 0] == 1).float().mean().item()
            missed = (out[y == 1] == 0).sum().item()
        scheduler.step(wrong + missed + more)
        more = number
