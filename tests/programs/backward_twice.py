"""SL211 backward-twice. `# SL211` marks the lines at which the finding must point."""

import torch
from torch import nn


def build():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    return model, torch.optim.SGD(model.parameters(), lr=0.01)


def bad_same_loss_twice():
    model, _ = build()
    loss = model(torch.randn(8, 4)).pow(2).mean()
    loss.backward()
    loss.backward()  # SL211


def bad_hidden_state_is_carried_on():
    cell, head = nn.GRUCell(4, 4), nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.01)
    hidden = torch.zeros(8, 4)
    for _ in range(3):
        optimizer.zero_grad()
        hidden = cell(torch.randn(8, 4), hidden)  # SL211
        head(hidden).pow(2).mean().backward()
        optimizer.step()


def bad_running_loss():
    model, optimizer = build()
    total = 0.0
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(torch.randn(8, 4)).pow(2).mean()
        total = total + loss  # SL211
        total.backward()
        optimizer.step()


def bad_shared_body():
    body, one, two = nn.Linear(4, 4), nn.Linear(4, 1), nn.Linear(4, 1)
    features = body(torch.randn(8, 4)).tanh()
    one(features).sum().backward()
    loss = two(features).sum()  # SL211
    loss.backward()


def good_detached_state():
    cell, head = nn.GRUCell(4, 4), nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.01)
    hidden = torch.zeros(8, 4)
    for _ in range(3):
        optimizer.zero_grad()
        hidden = cell(torch.randn(8, 4), hidden.detach())
        head(hidden).pow(2).mean().backward()
        optimizer.step()


def fine_retained_once():
    model, optimizer = build()
    for _ in range(2):
        optimizer.zero_grad()
        output = model(torch.randn(8, 4))
        output.pow(2).mean().backward(retain_graph=True)
        output.abs().mean().backward()
        optimizer.step()


def fine_caught():
    model, _ = build()
    loss = model(torch.randn(8, 4)).pow(2).mean()
    loss.backward()
    try:
        loss.backward()
    except RuntimeError:
        pass
