"""SL608 fractions-lost. `# SL608` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def learn(model, optimizer, target):
    optimizer.zero_grad()
    F.mse_loss(model(torch.randn(8, 4)), target).backward()
    optimizer.step()


def build():
    model = nn.Linear(4, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def bad_smoothed_labels_in_a_tensor_like_the_labels():
    model, optimizer = build()
    for _ in range(3):
        labels = torch.randint(3, (8,))
        smooth = torch.zeros_like(labels).unsqueeze(1).repeat(1, 3)
        smooth.fill_(0.05)  # SL608
        smooth.scatter_(1, labels.unsqueeze(1), 0.9)  # SL608
        learn(model, optimizer, smooth.float())


def bad_returns_in_a_tensor_like_the_rewards():
    model, optimizer = build()
    for _ in range(3):
        rewards = torch.randint(2, (3,))
        returns, running = torch.zeros_like(rewards), 0.0
        for t in reversed(range(3)):
            running = float(rewards[t]) + 0.9 * running
            returns[t] = running + 0.05  # SL608
        learn(model, optimizer, returns.float().expand(8, 3))


def bad_full_like_of_labels():
    model, optimizer = build()
    labels = torch.randint(3, (8, 3))
    target = torch.full_like(labels, 0.5)  # SL608
    learn(model, optimizer, target.float())


def bad_part_of_a_tensor():
    model, optimizer = build()
    target = torch.zeros(8, 3, dtype=torch.long)
    target[:, 0] = torch.rand(8)  # SL608
    learn(model, optimizer, target.float())


def good_tensor_of_floats():
    model, optimizer = build()
    for _ in range(3):
        labels = torch.randint(3, (8,))
        smooth = torch.zeros(8, 3)
        smooth.fill_(0.05)
        smooth.scatter_(1, labels.unsqueeze(1), 0.9)
        learn(model, optimizer, smooth)


def fine_whole_numbers_and_truth_values():
    model, optimizer = build()
    labels = torch.zeros(8, dtype=torch.long)
    labels.fill_(2.0)
    labels[3] = 1.0
    labels[:4] = torch.ones(4)
    keep = torch.zeros(8, dtype=torch.bool)
    keep.fill_(0.5)
    learn(model, optimizer, F.one_hot(labels, 3).float() * keep[:, None])


def fine_conversions_that_say_so():
    model, optimizer = build()
    bins = (torch.rand(8) * 3).long()
    other = torch.zeros(8, dtype=torch.long)
    other.copy_(torch.rand(8) * 3)
    scores = torch.full_like(bins, 0.5, dtype=torch.float32)
    learn(model, optimizer, F.one_hot(bins + 0 * other, 3) * scores[:, None])


def fine_whole_parts_that_are_wanted():
    model, optimizer = build()
    places = torch.zeros(8, 2, dtype=torch.long)
    places[0] = torch.tensor([1.7, 0.4])
    places[1:] = torch.rand(7, 2) * 3 + 1
    pixels = torch.full_like(places, 2.5)
    learn(model, optimizer, F.one_hot(places[:, 0] * 0 + pixels[:, 0], 3).float())
