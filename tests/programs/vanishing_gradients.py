"""SL603 vanishing-gradients. `# SL603` marks the lines at which the finding must point."""

import torch
from torch import nn


def train(model, steps=12, kind=torch.optim.SGD, lr=0.01):
    optimizer = kind(filter(lambda p: p.requires_grad, model.parameters()), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(16, 8)).pow(2).mean().backward()
        optimizer.step()


def bad_deep_sigmoids():
    layers = [nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()) for _ in range(16)]
    model = nn.Sequential(*layers, nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(12):
        optimizer.zero_grad()
        model(torch.randn(16, 8)).pow(2).mean().backward()
        optimizer.step()  # SL603


def bad_deep_sigmoids_under_adam():
    layers = [nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()) for _ in range(30)]
    model = nn.Sequential(*layers, nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for _ in range(12):
        optimizer.zero_grad()
        model(torch.randn(16, 8)).pow(2).mean().backward()
        optimizer.step()  # SL603


def fine_coefficient_in_other_units():
    """Beside its gradient that of the layers is faint; Adam divides each by its own size."""
    body = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    stiffness = nn.Parameter(torch.tensor(2.0))
    optimizer = torch.optim.Adam([*body.parameters(), stiffness], lr=1e-3)
    for _ in range(14):
        x = torch.randn(16, 8)
        fit = (body(x) - x.sum(1, keepdim=True)).pow(2).mean()
        residual = (1e6 * stiffness - 3e6).pow(2)
        optimizer.zero_grad()
        (fit + residual).backward()
        optimizer.step()


class Straight(nn.Linear):
    def forward(self, x):
        scale = self.weight.detach().abs().max() / 7
        rounded = torch.round(self.weight / scale) * scale
        weight = self.weight + (rounded - self.weight).detach()
        return nn.functional.linear(x, weight, self.bias)


def bad_weights_rounded():
    class Rounded(nn.Linear):
        def forward(self, x):
            scale = self.weight.detach().abs().max() / 7
            weight = torch.round(self.weight / scale) * scale  # SL603
            return nn.functional.linear(x, weight, self.bias)

    train(nn.Sequential(Rounded(8, 8), nn.ReLU(), Rounded(8, 1)))


def bad_rounded_weights_that_decay():
    """Decay alone moves them; no gradient does."""

    class Rounded(nn.Linear):
        def forward(self, x):
            weight = torch.round(self.weight * 8) / 8  # SL603
            return nn.functional.linear(x, weight, self.bias)

    model = nn.Sequential(Rounded(8, 8), nn.ReLU(), Rounded(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    for _ in range(12):
        optimizer.zero_grad()
        model(torch.randn(16, 8)).pow(2).mean().backward()
        optimizer.step()


def bad_layer_norm_of_one_feature():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 1))
            self.norm = nn.LayerNorm(1)

        def forward(self, x):
            return self.norm(self.body(x)) - 1  # SL603

    train(Net())


def fine_weights_rounded_and_passed_straight_through():
    train(nn.Sequential(Straight(8, 8), nn.ReLU(), Straight(8, 1)))


def fine_rounded_beside_the_loss():
    class Net(nn.Linear):
        def forward(self, x):
            y = super().forward(x)
            return y + 0.1 * torch.round(y)

    train(nn.Sequential(Net(8, 8), nn.ReLU(), Net(8, 1)))


def good_deep_relus_with_norms():
    layers = [nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.ReLU()) for _ in range(16)]
    train(nn.Sequential(*layers, nn.Linear(8, 1)))


def fine_frozen():
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    model[0].requires_grad_(False)
    train(model)


def fine_bias_before_norm():
    train(nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)))


def fine_zero_initialised_last_layer():
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    nn.init.zeros_(model[2].weight)
    nn.init.ones_(model[2].bias)
    train(model)


class Lora(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(8, 1).requires_grad_(False)
        self.a = nn.Parameter(torch.randn(2, 8))
        self.b = nn.Parameter(torch.zeros(1, 2))

    def forward(self, x):
        return self.base(x) + x @ self.a.T @ self.b.T


def fine_lora():
    train(Lora())


def fine_gate_that_starts_closed():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.branch = nn.Linear(8, 8), nn.Linear(8, 8)
            self.gate = nn.Parameter(torch.zeros(()))
            self.last = nn.Linear(8, 1)

        def forward(self, x):
            x = self.first(x)
            return self.last(x + self.gate * self.branch(x).tanh())

    train(Gated())


def fine_head_weighted_by_zero():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.one, self.other = nn.Linear(8, 8), nn.Linear(8, 1), nn.Linear(8, 1)

        def forward(self, x):
            x = self.body(x)
            return self.one(x) + 0 * self.other(x)

    train(Two())


class Quantised(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
        self.codes = nn.Embedding(8, 3)
        self.decoder = nn.Linear(3, 1)

    def forward(self, x):
        z = self.encoder(x)
        q = self.codes(torch.cdist(z, self.codes.weight).argmin(1))
        return self.decoder(self.passed(z, q)) + (q - z.detach()).pow(2).mean()


def bad_codes_passed_straight_through_without_detach():
    class Attached(Quantised):
        def passed(self, z, q):
            return z + (q - z)  # SL521

    train(Attached())


def good_codes_passed_straight_through():
    class Detached(Quantised):
        def passed(self, z, q):
            return z + (q - z).detach()

    train(Detached())
