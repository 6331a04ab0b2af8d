"""SL515 result-dropped. `# SL515` marks where the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def train(forward, model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        x = torch.randn(8, 6)
        optimizer.zero_grad()
        F.mse_loss(forward(model, x), x[:, :1]).backward()
        optimizer.step()


def bad_mask_that_is_not_applied():
    def forward(model, x):
        scores = model[0](x)
        scores.masked_fill(x > 1, -1e9)  # SL515
        return model[1](scores.softmax(-1))

    train(forward, nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 1)]))


def bad_dropout_that_drops_nothing():
    def forward(model, x):
        h = model[0](x).relu()
        F.dropout(h, 0.5)  # SL515
        return model[1](h)

    train(forward, nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 1)]))


def good_bound_or_in_place():
    def forward(model, x):
        scores = model[0](x)
        scores = scores.masked_fill(x > 1, -1e9)
        h = model[1](scores.softmax(-1))
        noise = torch.randn_like(h)
        noise.masked_fill_(noise > 2, 0.0)
        F.relu(noise, inplace=True)
        return h + 0.01 * noise

    train(forward, nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 1)]))


def fine_line_that_is_timed():
    def forward(model, x):
        mask = x > 1
        for _ in range(3):
            x.masked_fill(mask, 0.0)
        return model(torch.randn(8, 6))

    train(forward, nn.Linear(6, 1))


def fine_warm_up_and_timed_lines():
    def forward(model, x):
        for _ in range(2):
            F.gelu(x)
        for _ in range(3):
            F.gelu(x)
        return model(torch.randn(8, 6))

    train(forward, nn.Linear(6, 1))


def fine_method_of_ones_own():
    class Canvas:
        def __init__(self, x):
            self.x = x

        def clamp(self, low, high):
            self.x = self.x.clamp(low, high)

    def forward(model, x):
        canvas = Canvas(x)
        canvas.clamp(-1, 1)
        return model(canvas.x)

    train(forward, nn.Linear(6, 1))


class Centred(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 1)
        self.register_buffer("center", torch.zeros(6))


def bad_buffer_that_is_never_set():
    class Net(Centred):
        def __init__(self):
            super().__init__()
            self.scale = 1.0

        def forward(self, x):
            center = 0.9 * self.center + 0.1 * x.mean(0)  # noqa: F841 # SL515
            return self.fc(x - self.center)

    train(lambda model, x: model(x), Net())


def fine_new_value_that_is_read_or_written():
    class Net(Centred):
        def forward(self, x):
            center = 0.9 * self.center + 0.1 * x.mean(0)
            self.center.copy_(center.detach())
            return self.fc(x - self.center)

    class Other(Centred):
        def forward(self, x):
            center = 0.9 * self.center + 0.1 * x.mean(0)  # noqa: F841
            self.keep(x)
            return self.fc(x - self.center)

        def keep(self, x):
            self.center = 0.9 * self.center + 0.1 * x.detach().mean(0)

    train(lambda model, x: model(x), Net())
    train(lambda model, x: model(x), Other())


def bad_freeze_that_is_not_called():
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 1))
    model[0].requires_grad_  # SL515
    train(lambda model, x: model(x), model)


def losses(model, x):
    return F.mse_loss(model(x), x[:, :1]), model(x).pow(2).mean()


def bad_term_bound_anew():
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        x = torch.randn(8, 6)
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x[:, :1])  # SL515
        loss = 0.1 * model(x).pow(2).mean()
        loss.backward()
        optimizer.step()


def fine_loss_read_before_it_is_bound_anew():
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = 0.0
    for _ in range(3):
        x = torch.randn(8, 6)
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x[:, :1])
        total += loss.item()
        loss = loss + 0.1 * model(x).pow(2).mean()
        loss.backward()
        loss = model(x).pow(2).mean()
        optimizer.step()


def fine_steps_that_return_what_nothing_reads():
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def train_step(x):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), x[:, :1])
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        loss = train_step(torch.randn(8, 6))
        loss = train_step(torch.randn(8, 6))
    optimizer.zero_grad()
    loss = F.mse_loss(model(torch.ones(2, 6)), torch.ones(2, 1))
    loss.backward()
    optimizer.step()


def noisy():
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 1))


def bad_eval_that_is_not_called():
    model = noisy()
    for _ in range(3):
        model.train()
        train(lambda module, x: module(x), model)
        model.eval  # SL515
        with torch.no_grad():
            model(torch.randn(8, 6))


def bad_clear_that_is_not_called():
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(4):
        x = torch.randn(8, 6)
        optimizer.zero_grad  # SL515
        F.mse_loss(model(x), x[:, :1]).backward()
        optimizer.step()


def bad_step_that_is_not_called():
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(12):
        x = torch.randn(8, 6)
        optimizer.zero_grad()
        F.mse_loss(model(x), x[:, :1]).backward()
        optimizer.step  # SL204


def fine_methods_that_are_called_or_handed_on():
    model = noisy()
    rest = model.eval
    for _ in range(2):
        model.train()
        train(lambda module, x: module(x), model)
        rest()
        with torch.no_grad():
            model(torch.randn(8, 6))
