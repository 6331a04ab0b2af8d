"""SL513 positions-along-batch. `# SL513` marks where the finding must point."""

import torch
from torch import nn
from torch.utils.data import DataLoader


def table(longest=60, size=16):
    angles = torch.arange(longest).unsqueeze(1) * torch.exp(-torch.arange(0, size, 2) / size * 4)
    return torch.stack((angles.sin(), angles.cos()), 2).flatten(1).unsqueeze(1)


class Model(nn.Module):
    def __init__(self, positions, batch_first=True):
        super().__init__()
        self.inward = nn.Linear(3, 16)
        self.positions = positions
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(16, 1)
        self.time = 1 if batch_first else 0

    def forward(self, x):
        return self.out(self.encoder(self.positions(self.inward(x))).mean(self.time))


def train(model, shape):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(4):
        x = torch.randn(shape)
        optimizer.zero_grad()
        (model(x) - x.mean(model.time).sum(-1, keepdim=True)).pow(2).mean().backward()
        optimizer.step()


def bad_table_for_time_first():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.1)
            self.register_buffer("pe", table())

        def forward(self, x):
            x = x + self.pe[: x.size(0)]  # SL513
            return self.drop(x)

    train(Model(Positions()), (12, 7, 3))


def bad_learned_table():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.randn(40, 1, 16))

        def forward(self, x):
            rows = self.table[: len(x)]  # SL513
            return x + rows

    train(Model(Positions()), (12, 7, 3))


class AlongTime(nn.Module):
    def __init__(self, time):
        super().__init__()
        self.time = time
        self.register_buffer("pe", table())

    def forward(self, x):
        rows = self.pe[: x.size(self.time)]
        return x + (rows.transpose(0, 1) if self.time else rows)


def good_along_time():
    train(Model(AlongTime(1)), (12, 7, 3))


def fine_time_first():
    train(Model(AlongTime(0), batch_first=False), (12, 7, 3))


def fine_batch_taken_for_a_sequence():
    series = [(torch.randn(7, 3), torch.zeros(1)) for _ in range(48)]
    model = Model(AlongTime(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, y in DataLoader(series, batch_size=12):
        optimizer.zero_grad()
        (model(x.transpose(0, 1)).mean() - y).pow(2).mean().backward()
        optimizer.step()


def fine_nothing_added():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("rows", table())

        def forward(self, x):
            return x * self.rows.abs().max()

    train(Model(Scaled()), (12, 7, 3))
