"""SL527 batches-used-up. `# SL527` marks where the finding must point."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def made(count=6):
    for _ in range(count):
        x = torch.randn(8, 4)
        yield x, x[:, :1]


def endless():
    while True:
        yield from made()


def build():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 1))
    return model, torch.optim.SGD(model.parameters(), lr=0.05)


def score(model):
    with torch.no_grad():
        return model(torch.ones(2, 4)).mean().item()


def bad_generator_of_batches():
    model, optimizer = build()
    batches = made()
    for _ in range(4):
        model.train()
        for x, y in batches:  # SL527
            optimizer.zero_grad()
            (model(x) - y).pow(2).mean().backward()
            optimizer.step()
        model.eval()
        score(model)


def bad_iterator_of_a_loader():
    model, optimizer = build()
    loader = iter(DataLoader(TensorDataset(torch.randn(48, 4)), batch_size=8))
    for _ in range(3):
        for (x,) in loader:  # SL527
            optimizer.zero_grad()
            (model(x) - x[:, :1]).pow(2).mean().backward()
            optimizer.step()
        with torch.no_grad():
            model.eval()
            assert model(torch.ones(2, 4)).isfinite().all()
            model.train()


def good_made_anew():
    model, optimizer = build()
    for _ in range(4):
        model.train()
        for x, y in made():
            optimizer.zero_grad()
            (model(x) - y).pow(2).mean().backward()
            optimizer.step()
        model.eval()
        score(model)


def good_list():
    model, optimizer = build()
    batches = list(made())
    for _ in range(4):
        model.train()
        for x, y in batches:
            optimizer.zero_grad()
            (model(x) - y).pow(2).mean().backward()
            optimizer.step()
        model.eval()
        score(model)


def fine_stream_without_an_end():
    model, optimizer = build()
    batches = endless()
    for _ in range(4):
        model.train()
        for step, (x, y) in enumerate(batches):
            optimizer.zero_grad()
            (model(x) - y).pow(2).mean().backward()
            optimizer.step()
            if step == 4:
                break
        model.eval()
        score(model)


def fine_one_epoch():
    model, optimizer = build()
    batches = made()
    for _ in range(1):
        model.train()
        for x, y in batches:
            optimizer.zero_grad()
            (model(x) - y).pow(2).mean().backward()
            optimizer.step()
        model.eval()
        score(model)


def fine_called_again_with_other_batches():
    model, optimizer = build()

    def move():
        optimizer.step()
        optimizer.zero_grad()

    def fit(epochs):
        batches = made()
        for _ in range(epochs):
            model.train()
            for x, y in batches:
                (model(x) - y).pow(2).mean().backward()
                move()
            model.eval()
            score(model)

    for _ in range(4):
        fit(1)
