"""Schedulers that step per batch on purpose: warm restarts with a fraction of an epoch, OneCycle,
a linear warm-up that begins at learning rate zero, cosine to zero at the very end."""

import math

import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    LambdaLR,
    LinearLR,
    OneCycleLR,
    SequentialLR,
)
from weights import fingerprint

torch.manual_seed(53)
x = torch.randn(240, 6)
y = x.norm(dim=1, keepdim=True)
EPOCHS, BATCHES = 4, 8


def warm_restarts(opt):
    scheduler = CosineAnnealingWarmRestarts(opt, T_0=1, T_mult=2)
    return lambda epoch, i: scheduler.step(epoch + i / BATCHES)


def one_cycle(opt):
    scheduler = OneCycleLR(opt, max_lr=0.1, epochs=EPOCHS, steps_per_epoch=BATCHES)
    return lambda epoch, i: scheduler.step()


def warmup_from_zero(opt):
    def rate(step):
        if step < 8:
            return step / 8
        return 0.5 * (1 + math.cos(math.pi * (step - 8) / (EPOCHS * BATCHES - 8)))

    scheduler = LambdaLR(opt, rate)
    return lambda epoch, i: scheduler.step()


def sequential(opt):
    total = EPOCHS * BATCHES
    warm = LinearLR(opt, start_factor=0.1, total_iters=4)
    scheduler = SequentialLR(opt, [warm, CosineAnnealingLR(opt, T_max=total - 4)], milestones=[4])
    return lambda epoch, i: scheduler.step()


for kind, make in (
    (SGD, warm_restarts),
    (SGD, one_cycle),
    (AdamW, warmup_from_zero),
    (AdamW, sequential),
):
    net = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 1))
    opt = kind(net.parameters(), lr=0.01)
    schedule = make(opt)
    for epoch in range(EPOCHS):
        for i, batch in enumerate(torch.randperm(240).split(30)):
            loss = nn.functional.mse_loss(net(x[batch]), y[batch])
            opt.zero_grad()
            loss.backward()
            opt.step()
            schedule(epoch, i)
    print(make.__name__, loss.item(), opt.param_groups[0]["lr"], fingerprint(net))
