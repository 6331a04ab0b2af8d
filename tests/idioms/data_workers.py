"""DataLoader workers (fork, persistent and not), a worker_init_fn, augmentation with torch's
numbers in the worker, a weighted sampler with a seeded generator."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler, get_worker_info
from weights import fingerprint


class Augmented(Dataset):
    def __init__(self, n):
        g = torch.Generator().manual_seed(9)
        self.x = torch.randn(n, 1, 8, generator=g)
        self.y = (self.x.mean((1, 2)) > 0).long()
        self.noise = 0.1

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        x = self.x[i].clone()
        if torch.rand(()) < 0.5:
            x = x.flip(-1)
        return x + self.noise * torch.randn_like(x), self.y[i]


def init(worker):
    get_worker_info().dataset.noise = 0.05 + 0.01 * worker


def main():
    torch.manual_seed(73)
    data = Augmented(96)
    model = nn.Sequential(nn.Conv1d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
    sampler = WeightedRandomSampler(torch.ones(96), 96, generator=torch.Generator().manual_seed(3))
    loaders = [
        DataLoader(data, 16, shuffle=True, num_workers=2, worker_init_fn=init),
        DataLoader(data, 16, sampler=sampler, num_workers=1, persistent_workers=True),
    ]
    for loader in loaders:
        for epoch in range(2):
            for x, y in loader:
                opt.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                opt.step()
            print(epoch, loss.item())
    print(fingerprint(model))


if __name__ == "__main__":
    main()
