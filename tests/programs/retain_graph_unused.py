"""SL403 retain-graph-unused. `# SL403` marks the lines at which the finding must point."""

import torch
from torch import nn


def build():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.01)


def bad_retained_at_every_step():
    model, optimizer = build()
    for _ in range(8):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward(retain_graph=True)  # SL403
        optimizer.step()


def good_not_retained():
    model, optimizer = build()
    for _ in range(8):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()


def fine_two_losses():
    model, optimizer = build()
    for _ in range(8):
        out = model(torch.randn(8, 4))
        optimizer.zero_grad()
        out[:, 0].mean().backward(retain_graph=True)
        out[:, 1].pow(2).mean().backward()
        optimizer.step()


def fine_gradient_looked_at_afterwards():
    model, optimizer = build()
    for _ in range(8):
        x = torch.randn(8, 4, requires_grad=True)
        loss = model(x).pow(2).mean()
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        torch.autograd.grad(loss, x)
        optimizer.step()


def fine_second_order():
    model, optimizer = build()
    for _ in range(8):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward(create_graph=True)
        optimizer.step()
        optimizer.zero_grad()


def fine_used_by_the_other_player():
    make, judge = nn.Linear(4, 4), nn.Linear(4, 1).requires_grad_(False)
    one = torch.optim.SGD(make.parameters(), lr=1e-3)
    for _ in range(8):
        fake = make(torch.randn(8, 4))
        one.zero_grad()
        fake.pow(2).mean().backward(retain_graph=True)
        judge(fake).mean().backward()
        one.step()
