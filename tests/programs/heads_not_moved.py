"""SL525 heads-not-moved. `# SL525` marks where the finding must point."""

import math

import torch
from torch import nn
from torch.nn import functional as F

BATCH, TIME, HEADS, SIZE = 4, 6, 2, 5


class Attention(nn.Module):
    def __init__(self, split, join):
        super().__init__()
        self.qkv = nn.ModuleList([nn.Linear(HEADS * SIZE, HEADS * SIZE) for _ in range(3)])
        self.out = nn.Linear(HEADS * SIZE, 3)
        self.split, self.join = split, join

    def forward(self, x):
        q, k, v = (self.split(layer(x)) for layer in self.qkv)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(SIZE)).softmax(-1)
        return self.out(self.join(weights @ v))


def right_split(x):
    return x.view(len(x), -1, HEADS, SIZE).transpose(1, 2)


def right_join(x):
    return x.transpose(1, 2).reshape(len(x), -1, HEADS * SIZE)


def train(split=right_split, join=right_join, time=TIME, steps=3):
    model = Attention(split, join)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(steps):
        x, y = torch.randn(BATCH, time, HEADS * SIZE), torch.randint(0, 3, (BATCH, time))
        optimizer.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        optimizer.step()


def bad_split_by_a_view():
    def split(x):
        return x.view(len(x), HEADS, -1, SIZE)  # SL525

    train(split)


def bad_joined_by_a_reshape():
    def join(x):
        return x.reshape(len(x), -1, HEADS * SIZE)  # SL525

    train(join=join)


def bad_both_ways():
    def split(x):
        return x.reshape(len(x), HEADS, -1, SIZE)  # SL525

    def join(x):
        return x.contiguous().view(len(x), -1, HEADS * SIZE)  # SL525

    train(split, join)


def good_transposed():
    train()


def fine_as_many_heads_as_time_steps():
    def split(x):
        return x.view(len(x), HEADS, -1, SIZE)

    train(split, time=HEADS)


def fine_joined_after_a_permute():
    def join(x):
        return x.permute(0, 2, 1, 3).contiguous().view(len(x), -1, HEADS * SIZE)

    train(join=join)


def fine_chunks_of_time():
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        chunks = model(torch.randn(BATCH, TIME, 4)).view(BATCH, 2, TIME // 2, 4)
        optimizer.zero_grad()
        chunks.mean(2).square().mean().backward()
        optimizer.step()
