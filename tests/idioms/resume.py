"""Saving a checkpoint and resuming in the same script: new model, optimizer and scheduler objects
are filled from the file and go on."""

import io

import torch
from torch import nn
from weights import fingerprint


def build():
    model = nn.Sequential(nn.Linear(5, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    return model, optimizer, scheduler


def train(model, optimizer, scheduler, x, y, start, stop):
    for epoch in range(start, stop):
        model.train()
        for i in torch.randperm(len(x)).split(25):
            optimizer.zero_grad()
            loss = nn.functional.l1_loss(model(x[i]), y[i])
            loss.backward()
            optimizer.step()
        scheduler.step()
        print(epoch, loss.item(), scheduler.get_last_lr()[0])


def main():
    torch.manual_seed(58)
    x = torch.randn(150, 5)
    y = x.cos().sum(1, keepdim=True)
    parts = build()
    train(*parts, x, y, 0, 4)
    file = io.BytesIO()
    torch.save(
        {
            "epoch": 4,
            "model": parts[0].state_dict(),
            "optimizer": parts[1].state_dict(),
            "scheduler": parts[2].state_dict(),
            "rng": torch.get_rng_state(),
        },
        file,
    )
    file.seek(0)
    del parts
    checkpoint = torch.load(file)
    model, optimizer, scheduler = build()
    model.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    scheduler.load_state_dict(checkpoint["scheduler"])
    torch.set_rng_state(checkpoint["rng"])
    train(model, optimizer, scheduler, x, y, checkpoint["epoch"], 8)
    print(fingerprint(model))


main()
