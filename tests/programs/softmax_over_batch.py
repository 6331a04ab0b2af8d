"""SL505 softmax-over-batch. `# SL505` marks the lines at which the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn


def train(model, loss_of, steps=3):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        x, y = torch.randn(8, 4), torch.randint(0, 3, (8,))
        optimizer.zero_grad()
        loss_of(model, x, y).backward()
        optimizer.step()


def bad_log_softmax_into_nll():
    def loss_of(model, x, y):
        log_p = F.log_softmax(model(x), dim=0)  # SL505
        return F.nll_loss(log_p, y)

    train(nn.Linear(4, 3), loss_of)


def bad_softmax_and_gather():
    def loss_of(model, x, y):
        p = torch.softmax(model(x), dim=0)  # SL505
        return -torch.log(p.gather(1, y[:, None]) + 1e-8).mean()

    train(nn.Linear(4, 3), loss_of)


def bad_softmax_and_index():
    def loss_of(model, x, y):
        p = torch.softmax(model(x), dim=0)  # SL505
        return -p.log()[torch.arange(8), y].mean()

    train(nn.Linear(4, 3), loss_of)


def bad_softmax_and_one_hot():
    def loss_of(model, x, y):
        p = torch.softmax(model(x), dim=0)  # SL505
        return F.mse_loss(p, F.one_hot(y, 3).float())

    train(nn.Linear(4, 3), loss_of)


def bad_cross_entropy_by_hand():
    def loss_of(model, x, y):
        p = model(x).softmax(0)  # SL505
        return -(F.one_hot(y, 3) * torch.log(p)).sum(1).mean()

    train(nn.Linear(4, 3), loss_of)


def good_over_the_classes():
    def loss_of(model, x, y):
        return F.nll_loss(F.log_softmax(model(x), dim=1), y)

    train(nn.Linear(4, 3), loss_of)


def bad_dice_of_maps():
    model = nn.Conv2d(1, 3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        x, y = torch.randn(6, 1, 4, 4), torch.randint(0, 3, (6, 4, 4))
        p = torch.softmax(model(x), dim=0)  # SL505
        wanted = F.one_hot(y, 3).permute(0, 3, 1, 2).float()
        shared = (p * wanted).sum((0, 2, 3))
        optimizer.zero_grad()
        (1 - (2 * shared + 1) / (p.sum((0, 2, 3)) + wanted.sum((0, 2, 3)) + 1)).mean().backward()
        optimizer.step()


def fine_slots_compete_for_places():
    model = nn.Conv2d(1, 3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        slots = model(torch.randn(6, 1, 4, 4))  # six slots of one picture
        share = torch.softmax(slots.mean(1, keepdim=True), dim=0)
        optimizer.zero_grad()
        ((share * torch.rand(6, 3, 4, 4)).sum(0) - torch.rand(3, 4, 4)).pow(2).mean().backward()
        optimizer.step()


def fine_attention_over_a_set():
    def loss_of(model, x, y):
        out = model(x)
        weights = torch.softmax(out[:, :1], dim=0)
        pooled = (weights * out[:, 1:]).sum(0, keepdim=True)
        return F.cross_entropy(pooled, y[:1])

    train(nn.Linear(4, 4), loss_of)


def fine_one_sample():
    def loss_of(model, x, y):
        return -torch.log(model(x[:1]).softmax(1))[0, y[0]] - F.log_softmax(model(x[0]), 0)[y[0]]

    train(nn.Linear(4, 3), loss_of)


def fine_both_directions():
    def loss_of(model, x, y):
        one, two = F.normalize(model(x), dim=1), F.normalize(model(x + 0.1), dim=1)
        similar = one @ two.t()
        pairs = torch.arange(8)
        return -(
            F.log_softmax(similar, 0)[pairs, pairs].mean()
            + F.log_softmax(similar, 1)[pairs, pairs].mean()
        )

    train(nn.Linear(4, 3), loss_of)


def fine_weights_of_the_samples():
    def loss_of(model, x, y):
        out = model(x)
        weights = torch.softmax(out.detach()[:, 0], dim=0)
        return (weights * F.cross_entropy(out, y, reduction="none")).sum()

    train(nn.Linear(4, 3), loss_of)


def fine_entropy_of_the_batch():
    def loss_of(model, x, y):
        out = model(x)
        spread = (out.softmax(0) * out.log_softmax(0)).sum(0).mean()
        return F.cross_entropy(out, y) + 0.1 * spread

    train(nn.Linear(4, 3), loss_of)
