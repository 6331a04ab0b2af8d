"""Hogwild: two processes train one shared model, one after the other here so that the bits are the
same every time; the parent trained a little before and tests at the end."""

import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


def net():
    return nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))


def batches(seed, n):
    g = torch.Generator().manual_seed(seed)
    for _ in range(n):
        x = torch.randn(32, 5, generator=g)
        yield x, (x.sum(1) > 0).long()


def train(rank, model):
    torch.manual_seed(rank)
    torch.set_num_threads(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    for data, target in batches(rank, 15):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(data), target)
        loss.backward()
        optimizer.step()
    print("worker", rank, loss.item(), flush=True)


def main():
    torch.manual_seed(1)
    model = net()
    model.share_memory()
    train(0, model)
    for rank in (1, 2):
        p = mp.get_context("fork").Process(target=train, args=(rank, model))
        p.start()
        p.join()
        assert p.exitcode == 0
    model.eval()
    with torch.no_grad():
        x, y = next(batches(99, 1))
        print("accuracy", (model(x).argmax(1) == y).float().mean().item())
    print(fingerprint(model))


if __name__ == "__main__":
    main()
