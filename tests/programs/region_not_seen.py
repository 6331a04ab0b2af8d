"""SL002 region-not-seen. `# SL002` marks the lines at which the note must point."""

import torch
from torch import nn


def step(model, optimizer):
    optimizer.zero_grad()
    model(torch.randn(8, 4)).pow(2).mean().backward()
    optimizer.step()


def bad_compiled():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    fast = torch.compile(model, backend="eager")  # SL002
    for _ in range(2):
        step(fast, optimizer)


def bad_scripted():
    model = torch.jit.script(nn.Linear(4, 1))  # SL002
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        step(model, optimizer)


def bad_traced():
    model = torch.jit.trace(nn.Linear(4, 1), torch.randn(2, 4))  # SL002
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        step(model, optimizer)


def good_eager():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        step(model, optimizer)


def fine_disabled():
    model = torch.compile(nn.Linear(4, 1), disable=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        step(model, optimizer)
