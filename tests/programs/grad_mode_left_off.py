"""SL106 grad-mode-left-off. `# SL106` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def build():
    model = nn.Linear(4, 2)
    return model, torch.optim.SGD(model.parameters(), lr=0.05)


def batch(n=16):
    return torch.randn(n, 4), torch.randint(0, 2, (n,))


def train(model, optimizer, steps=3):
    for _ in range(steps):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def bad_set_grad_enabled():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        torch.set_grad_enabled(False)  # SL106
        model(batch()[0]).argmax(1)


def bad_entered_by_hand():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        guard = torch.no_grad()
        guard.__enter__()  # SL106
        model(batch()[0]).argmax(1)


def bad_suspended_generator():
    def batches():
        with torch.no_grad():  # SL106
            for _ in range(3):
                yield torch.randn(16, 4), torch.randint(0, 2, (16,))

    model, optimizer = build()
    train(model, optimizer)
    for x, y in batches():
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def bad_loss_forced_to_require_grad():
    model, optimizer = build()
    train(model, optimizer)
    torch.set_grad_enabled(False)  # SL106
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.requires_grad_()
        loss.backward()


def bad_backward_only_if_there_is_a_graph():
    model, _ = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    train(model, optimizer)
    torch.set_grad_enabled(False)  # SL106
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad(set_to_none=False)
        loss = F.cross_entropy(model(x), y)
        if loss.requires_grad:
            loss.backward()
        optimizer.step()


def good_blocks():
    model, optimizer = build()
    for phase in ("train", "eval", "train", "eval"):
        with torch.set_grad_enabled(phase == "train"):
            x, y = batch()
            loss = F.cross_entropy(model(x), y)
            if phase == "train":
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()


def fine_undone_by_hand():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        torch.set_grad_enabled(False)
        model(batch()[0]).argmax(1)
        torch.set_grad_enabled(True)


def fine_decorators():
    @torch.no_grad()
    def first(model):
        return model(batch()[0])

    @torch.set_grad_enabled(False)
    def second(model):
        return model(batch()[0])

    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        first(model)
        second(model)


def fine_inference_program():
    torch.set_grad_enabled(False)
    model, _ = build()
    for _ in range(3):
        model(batch()[0]).argmax(1)


def fine_gradients_by_hand():
    torch.set_grad_enabled(False)
    model, optimizer = build()
    for _ in range(3):
        x, y = batch()
        wrong = model(x).softmax(1) - F.one_hot(y, 2)
        model.weight.grad = wrong.T @ x / len(x)
        model.bias.grad = wrong.mean(0)
        optimizer.step()


def fine_enabled_where_needed():
    torch.set_grad_enabled(False)
    model, optimizer = build()
    for _ in range(3):
        model(batch()[0])
        with torch.enable_grad():
            train(model, optimizer, 1)
