"""SL526 batches-of-one-class. `# SL526` marks where the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def samples(classes=4, each=32, mixed=False):
    y = torch.arange(classes).repeat_interleave(each)
    if mixed:
        y = y[torch.randperm(len(y))]
    return TensorDataset(torch.randn(len(y), 6) + y[:, None], y)


def train(loader, classes=4, epochs=2):
    model = nn.Linear(6, classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


def bad_sorted_and_read_in_order():
    train(DataLoader(samples(), batch_size=16))  # SL526


def bad_classes_that_end_within_a_batch():
    train(DataLoader(samples(each=40), batch_size=10))  # SL526


def good_shuffled():
    train(DataLoader(samples(), batch_size=16, shuffle=True))


def fine_mixed_beforehand():
    train(DataLoader(samples(mixed=True), batch_size=16))


def fine_two_classes():
    train(DataLoader(samples(classes=2), batch_size=16), classes=2, epochs=4)


def fine_larger_batches_than_classes():
    train(DataLoader(samples(), batch_size=64), epochs=6)


def fine_sorted_for_the_evaluation():
    model = nn.Linear(6, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(2):
        for x, y in DataLoader(samples(), batch_size=16, shuffle=True):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            for x, y in DataLoader(samples(), batch_size=16):
                F.cross_entropy(model(x), y)
