"""SL210 backward-without-graph. `# SL210` marks the lines at which the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn


def build():
    model = nn.Linear(4, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.01)


class Dark(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    @torch.no_grad()
    def forward(self, x):
        return self.layer(x)


def bad_no_grad_around_the_forward():
    model, optimizer = build()
    x, y = torch.randn(8, 4), torch.zeros(8, dtype=torch.long)
    F.cross_entropy(model(x), y).backward()
    optimizer.step()
    optimizer.zero_grad()
    with torch.no_grad():  # SL210
        output = model(x)
    F.cross_entropy(output, y).backward()


def bad_a_decorated_function():
    model, _ = build()

    @torch.no_grad()  # SL210
    def predict(x):
        return model(x)

    F.cross_entropy(predict(torch.randn(8, 4)), torch.zeros(8, dtype=torch.long)).backward()


def bad_argmax():
    model, _ = build()
    output = model(torch.randn(8, 4))
    guess = output.argmax(1).float()  # SL210
    loss = F.mse_loss(guess, torch.zeros(8))
    loss.backward()


def bad_detached():
    model, _ = build()
    output = model(torch.randn(8, 4))
    loss = F.cross_entropy(output.detach(), torch.tensor([0] * 8))  # SL210
    loss.backward()


def bad_made_anew():
    model, _ = build()
    loss = F.cross_entropy(model(torch.randn(8, 4)), torch.zeros(8, dtype=torch.long))
    total = torch.tensor(loss.item())  # SL210
    total.backward()


def bad_data_attribute():
    model, _ = build()
    output = model(torch.randn(8, 4)).data  # SL210
    F.cross_entropy(output, torch.zeros(8, dtype=torch.long)).backward()


def bad_all_frozen():
    model, _ = build()
    model.requires_grad_(False)
    loss = model(torch.randn(8, 4)).sum()  # SL210
    loss.backward()


def bad_comparison():
    model, _ = build()
    output = model(torch.randn(8, 4))
    wrong = (output > 0).float().mean()  # SL210
    wrong.backward()


def bad_inside_a_helper():
    model, _ = build()

    def loss_of(x):
        output = model(x)
        return F.mse_loss(output.detach(), torch.zeros(8, 3))  # SL210

    loss = loss_of(torch.randn(8, 4))
    loss.backward()


def good_forward_with_grad():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(8, 4)), torch.zeros(8, dtype=torch.long)).backward()
        optimizer.step()


def fine_caught():
    model, _ = build()
    with torch.no_grad():
        loss = model(torch.randn(8, 4)).sum()
    try:
        loss.backward()
    except RuntimeError:
        pass


def fine_guarded():
    model = Dark()
    loss = model(torch.randn(8, 4)).sum()
    if loss.requires_grad:
        loss.backward()
