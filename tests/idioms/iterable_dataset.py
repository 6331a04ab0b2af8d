"""A stream without length: an IterableDataset of generated samples, training for a number of steps
with an endless iterator, evaluation every so often."""

import itertools
import random

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from weights import fingerprint


class Stream(IterableDataset):
    def __init__(self, seed, limit=None):
        self.seed, self.limit = seed, limit

    def __iter__(self):
        rng = random.Random(self.seed)
        for k in itertools.count():
            if self.limit is not None and k >= self.limit:
                return
            point = [rng.gauss(0, 1) for _ in range(6)]
            yield torch.tensor(point), torch.tensor(sum(point[:3]) - sum(point[3:])).sign()


def cycle(loader):
    while True:
        yield from loader


def main():
    torch.manual_seed(72)
    model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Dropout(0.2), nn.Linear(24, 1), nn.Tanh())
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    train = cycle(DataLoader(Stream(1), batch_size=32))
    valid = DataLoader(Stream(2, 128), batch_size=64)
    for step in range(1, 61):
        x, y = next(train)
        loss = nn.functional.mse_loss(model(x).squeeze(1), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            model.eval()
            with torch.no_grad():
                errors = [nn.functional.mse_loss(model(x).squeeze(1), y).item() for x, y in valid]
            model.train()
            print(step, loss.item(), sum(errors) / len(errors))
    print(fingerprint(model))


if __name__ == "__main__":
    main()
