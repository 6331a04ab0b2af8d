"""SL315 unregistered-state. `# SL315` marks the lines at which the finding must point."""

import torch
from torch import nn


def learn(model, steps=8):
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(16, 4)).pow(2).mean().backward()
        optimizer.step()


class Centred(nn.Module):
    """Keeps a running mean as a plain attribute or as a buffer."""

    def __init__(self, buffer=False):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        if buffer:
            self.register_buffer("mean", torch.zeros(4))
        else:
            self.mean = torch.zeros(4)

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.linear(x - self.mean)


def bad_running_mean():
    class Shifted(Centred):
        def __init__(self):
            super().__init__(buffer=True)
            self.shift = torch.zeros(4)  # SL315

        def forward(self, x):
            self.shift = 0.9 * self.shift + 0.1 * x.detach().mean(0)
            return self.linear(x - self.shift)

    learn(Shifted())


def bad_set_from_outside_of_its_class():
    class Shifted(nn.Linear):
        def forward(self, x):
            vars(self)["shift"] = 0.9 * self.shift + 0.1 * x.detach().mean(0)
            return super().forward(x - self.shift)

    model = Shifted(4, 4)  # SL315
    model.shift = torch.zeros(4)
    learn(model)


def bad_running_means_of_several_layers():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.shift = torch.zeros(4)  # SL315

        def forward(self, x):
            self.shift = 0.9 * self.shift + 0.1 * x.detach().mean(0)
            return self.linear(x - self.shift)

    learn(nn.Sequential(Shifted(), nn.ReLU(), Shifted(), nn.ReLU(), Shifted()))


def bad_bank_written_in_place():
    class Bank(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.keys = torch.randn(8, 4)  # SL315
            self.place = 0

        def forward(self, x):
            h = self.linear(x)
            near = h @ self.keys.clone().t()
            with torch.no_grad():
                self.keys[self.place % 8] = h[0]
                self.place += 1
            return near

    model = Bank()
    learn(model)


def bad_counter_that_scales():
    class Annealed(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.steps = torch.tensor(0.0)  # SL315

        def forward(self, x):
            self.steps += 1
            return self.linear(x) * torch.exp(-0.1 * self.steps)

    model = Annealed()
    learn(model)


def bad_centre_of_a_loss_without_parameters():
    class Centring(nn.Module):
        def __init__(self):
            super().__init__()
            self.centre = torch.zeros(4)  # SL315

        def forward(self, out):
            loss = (out - self.centre).pow(2).mean()
            with torch.no_grad():
                self.centre = 0.9 * self.centre + 0.1 * out.mean(0)
            return loss

    model, criterion = nn.Linear(4, 4), Centring()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(8):
        optimizer.zero_grad()
        criterion(model(torch.randn(16, 4))).backward()
        optimizer.step()


def good_buffer():
    learn(Centred(buffer=True))


def fine_constant():
    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.shift = torch.ones(4)

        def forward(self, x):
            return self.linear(x + self.shift)

    learn(Shifted())


def fine_last_output():
    class Remembering(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.last = torch.zeros(16, 4)

        def forward(self, x):
            h = self.linear(x)
            self.last = h.detach()
            return h

    learn(Remembering())


def fine_cache():
    class Cached(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.mask = None

        def forward(self, x):
            if self.mask is None or self.mask.shape != x.shape:
                self.mask = torch.ones_like(x)
            return self.linear(x * self.mask)

    learn(Cached())


def fine_hidden_state():
    class Memory(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRUCell(4, 4)
            self.hidden = torch.zeros(16, 4)

        def forward(self, x):
            h = self.cell(x, self.hidden)
            self.hidden = h.detach()
            return h

    learn(Memory())


def fine_hidden_state_detached_between():
    class Memory(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRUCell(4, 4)
            self.hidden = torch.zeros(16, 4)

        def forward(self, x):
            self.hidden = self.cell(x, self.hidden.detach())
            return self.hidden

    learn(Memory())


def fine_set_from_outside():
    class Tempered(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.temperature = torch.tensor(1.0)

        def forward(self, x):
            return self.linear(x) / self.temperature

    model = Tempered()
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(6):
        model.temperature = torch.tensor(1.0 / (step + 1))
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()


def fine_constant_of_a_loss():
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = torch.ones(4)

        def forward(self, out):
            return (self.weights * out).pow(2).mean()

    model, criterion = nn.Linear(4, 4), Weighted()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(8):
        optimizer.zero_grad()
        criterion(model(torch.randn(16, 4))).backward()
        optimizer.step()


def fine_counts_of_a_metric():
    class Accuracy(nn.Module):
        def __init__(self):
            super().__init__()
            self.right, self.seen = torch.zeros(4), torch.tensor(0.0)

        def forward(self, out, y):
            self.right = self.right + (out.argmax(1) == y).float() @ torch.eye(4)[y]
            self.seen = self.seen + len(y)
            return self.right.sum() / self.seen

    model, accuracy = nn.Linear(4, 4), Accuracy()
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(8):
        x, y = torch.randn(16, 4), torch.randint(0, 4, (16,))
        out = model(x)
        optimizer.zero_grad()
        nn.functional.cross_entropy(out, y).backward()
        optimizer.step()
        print(accuracy(out, y).item())


class Norm(nn.Module):
    def __init__(self, buffers):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, 8))
        for name in ("mean", "var"):
            if buffers:
                self.register_buffer(name, torch.ones(1, 8))
            else:
                setattr(self, name, torch.ones(1, 8))

    def forward(self, x):
        if not torch.is_grad_enabled():
            return self.gain * (x - self.mean) / (self.var + 1e-5).sqrt()
        mean, var = x.mean(0), x.var(0, unbiased=False)
        self.mean = (0.9 * self.mean + (1.0 - 0.9) * mean).data
        self.var = (0.9 * self.var + (1.0 - 0.9) * var).data
        return self.gain * (x - mean) / (var + 1e-5).sqrt()


def normed(norm):
    model = nn.Sequential(nn.Linear(4, 8), norm, nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        model(torch.randn(16, 4)).pow(2).mean().backward()
        optimizer.step()


def bad_running_statistics_of_a_norm_of_ones_own():
    class Own(Norm):
        def __init__(self):
            super().__init__(True)
            del self.mean
            self.mean = torch.ones(1, 8)  # SL315

    normed(Own())


def good_running_statistics_in_buffers():
    normed(Norm(True))


def fine_leaking_state_detached():
    class Leaky(nn.Module):
        def __init__(self):
            super().__init__()
            self.into = nn.Linear(4, 8)
            self.state = torch.zeros(16, 8)

        def forward(self, x):
            state = 0.9 * self.state + self.into(x)
            self.state = state.detach()
            return state

    model = nn.Sequential(Leaky(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        model(torch.randn(16, 4)).pow(2).mean().backward()
        optimizer.step()
