"""SL201 gradients-never-cleared. `# SL201` marks the lines at which the finding must point."""

import torch
from torch import nn


def build(momentum=0.0):
    model = nn.Linear(4, 1)
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=momentum)


def loss_of(model):
    return model(torch.randn(16, 4)).pow(2).mean()


def bad_no_clear():
    model, optimizer = build()
    for _ in range(4):
        loss_of(model).backward()
        optimizer.step()  # SL201


def bad_clears_the_other_model():
    model, optimizer = build()
    other, _ = build()
    for _ in range(3):
        other.zero_grad()
        loss_of(model).backward()
        optimizer.step()  # SL201


def bad_clears_before_the_loop_only():
    model, optimizer = build(momentum=0.9)
    optimizer.zero_grad()
    for _ in range(3):
        loss_of(model).backward()
        optimizer.step()  # SL201


def good_clear_at_the_top():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()


def fine_accumulation():
    model, optimizer = build()
    for _ in range(3):
        for _ in range(2):
            (loss_of(model) / 2).backward()
        optimizer.step()
        optimizer.zero_grad()


def fine_set_to_none_false():
    model, optimizer = build()
    for _ in range(4):
        optimizer.zero_grad(set_to_none=False)
        loss_of(model).backward()
        optimizer.step()


def fine_grad_none_by_hand():
    model, optimizer = build()
    for _ in range(4):
        for parameter in model.parameters():
            parameter.grad = None
        loss_of(model).backward()
        optimizer.step()


def fine_zeroed_in_place():
    model, optimizer = build()
    for _ in range(4):
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        loss_of(model).backward()
        optimizer.step()


def fine_zeroed_through_data():
    model, optimizer = build()
    for _ in range(60):
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.data.zero_()
        loss_of(model).backward()
        optimizer.step()


def fine_lbfgs_closure():
    model, _ = build()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)
    x = torch.randn(16, 4)

    def closure():
        optimizer.zero_grad()
        loss = (model(x) - 1).pow(2).mean()
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
