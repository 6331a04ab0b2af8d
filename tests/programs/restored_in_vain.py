"""SL318 restored-in-vain. `# SL318` marks the lines at which the finding must point."""

import copy

import torch
from torch import nn


def train(model, optimizer, steps=4):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def checkpoint():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train(model, optimizer)
    return copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())


def bad_made_anew_after_the_load():
    weights, state = checkpoint()
    model = nn.Linear(4, 2)
    model.load_state_dict(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    optimizer.load_state_dict(state)  # SL318
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train(model, optimizer)


def good_loaded_after_it_was_made():
    weights, state = checkpoint()
    model = nn.Linear(4, 2)
    model.load_state_dict(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    optimizer.load_state_dict(state)
    train(model, optimizer)


def fine_loaded_into_both():
    weights, state = checkpoint()
    model = nn.Linear(4, 2)
    model.load_state_dict(weights)
    for _ in range(2):
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        optimizer.load_state_dict(state)
    train(model, optimizer)


def fine_a_phase_with_another_optimizer():
    weights, state = checkpoint()
    model = nn.Linear(4, 2)
    model.load_state_dict(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    optimizer.load_state_dict(state)
    train(model, torch.optim.SGD(model.parameters(), lr=0.01))


def fine_gone_on_with_and_then_made_anew():
    weights, state = checkpoint()
    model = nn.Linear(4, 2)
    model.load_state_dict(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    optimizer.load_state_dict(state)
    train(model, optimizer)
    train(model, torch.optim.Adam(model.parameters(), lr=0.01))


def fine_another_model():
    _, state = checkpoint()
    first, second = nn.Linear(4, 2), nn.Linear(4, 2)
    optimizer = torch.optim.Adam(first.parameters(), lr=0.01)
    optimizer.load_state_dict(state)
    train(second, torch.optim.Adam(second.parameters(), lr=0.01))


def fine_best_state_put_back_before_a_phase_at_a_lower_rate():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    train(model, optimizer)
    weights, state = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    train(model, optimizer)
    model.load_state_dict(weights)
    optimizer.load_state_dict(state)
    train(model, torch.optim.Adam(model.parameters(), lr=0.001))
