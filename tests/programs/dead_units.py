"""SL604 dead-units. `# SL604` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, bias):
        super().__init__()
        self.hidden = nn.Linear(4, 32)
        self.out = nn.Linear(32, 1)
        nn.init.constant_(self.hidden.bias, bias)

    def forward(self, x):
        return self.out(F.relu(self.hidden(x)))  # in the library's `relu`, called here


def train(model, steps=12):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(64, 4)).pow(2).mean().backward()
        optimizer.step()


def bad_large_negative_bias():
    hidden, out = nn.Linear(4, 32), nn.Linear(32, 1)
    nn.init.constant_(hidden.bias, -20.0)
    model = nn.ModuleList([hidden, out])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(12):
        h = F.relu(hidden(torch.randn(64, 4)))  # SL604
        optimizer.zero_grad()
        out(h).pow(2).mean().backward()
        optimizer.step()


def bad_convolution():
    conv, out = nn.Conv2d(1, 16, 3), nn.Linear(16, 1)
    nn.init.constant_(conv.bias, -20.0)
    model = nn.ModuleList([conv, out])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(12):
        h = F.relu(conv(torch.randn(8, 1, 6, 6))).mean((2, 3))  # SL604
        optimizer.zero_grad()
        out(h).pow(2).mean().backward()
        optimizer.step()


def bad_killed_by_the_first_steps():
    hidden, out = nn.Linear(4, 32), nn.Linear(32, 1)
    model = nn.ModuleList([hidden, out])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(14):
        h = F.relu(hidden(40 + torch.randn(64, 4)))  # SL604
        optimizer.zero_grad()
        (out(h) + 100).pow(2).mean().backward()
        optimizer.step()


def fine_units_that_come_to_life():
    model = Net(-3.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(14):
        optimizer.zero_grad()
        (model(torch.randn(64, 4)) - 10).pow(2).mean().backward()
        optimizer.step()
        with torch.no_grad():
            model.hidden.bias.add_(0.5)


def good_bias_of_zero():
    train(Net(0.0))


def fine_some_units_off():
    model = Net(0.0)
    with torch.no_grad():
        model.hidden.bias[:16] = -20.0
    train(model)


def fine_off_for_some_batches():
    model = Net(-2.0)
    train(model)


def fine_leaky():
    model = nn.Sequential(nn.Linear(4, 32), nn.LeakyReLU(0.01), nn.Linear(32, 1))
    nn.init.constant_(model[0].bias, -20.0)
    train(model)


def fine_small_layer():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1))
    nn.init.constant_(model[0].bias, -20.0)
    train(model)


def fine_inplace_relu():
    model = nn.Sequential(
        nn.Linear(4, 32), nn.BatchNorm1d(32), nn.ReLU(inplace=True), nn.Linear(32, 1)
    )
    train(model)


def squashed(activation, scale, steps=12):
    hidden, out = nn.Linear(4, 32), nn.Linear(32, 1)
    optimizer = torch.optim.SGD([*hidden.parameters(), *out.parameters()], lr=0.01)
    for _ in range(steps):
        h = activation(hidden(scale * torch.rand(64, 4)))
        optimizer.zero_grad()
        out(h).pow(2).mean().backward()
        optimizer.step()


def bad_inputs_never_scaled():
    hidden, out = nn.Linear(4, 32), nn.Linear(32, 1)
    optimizer = torch.optim.SGD([*hidden.parameters(), *out.parameters()], lr=0.01)
    for _ in range(12):
        h = torch.tanh(hidden(50000 * torch.rand(64, 4)))  # SL604
        optimizer.zero_grad()
        out(h).pow(2).mean().backward()
        optimizer.step()


def good_inputs_scaled():
    squashed(torch.tanh, 1)
    squashed(torch.sigmoid, 1)


def fine_saturated_in_part():
    squashed(torch.tanh, 10)


def fine_saturated_later():
    hidden, out = nn.Linear(4, 32), nn.Linear(32, 1)
    optimizer = torch.optim.SGD([*hidden.parameters(), *out.parameters()], lr=0.01)
    for step in range(24):  # a hash that is made hard by and by
        h = torch.tanh(10 ** (step / 4) * hidden(torch.rand(64, 4)))
        optimizer.zero_grad()
        out(h).pow(2).mean().backward()
        optimizer.step()
