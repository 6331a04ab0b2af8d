"""SL103 evaluation-builds-graph. `# SL103` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def build():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.05)


def batch(n=16):
    return torch.randn(n, 4), torch.randint(0, 2, (n,))


def train(model, optimizer, steps=3):
    model.train()
    for _ in range(steps):
        x, y = batch()
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_no_no_grad():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        for _ in range(3):
            x, y = batch()
            logits = model(x)  # SL103
            (logits.argmax(1) == y).sum().item()


def bad_once_at_the_end():
    model, optimizer = build()
    train(model, optimizer)
    model.eval()
    x, y = batch()
    logits = model(x)  # SL103
    (logits.argmax(1) == y).sum().item()


def good_no_grad():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            for _ in range(3):
                x, y = batch()
                (model(x).argmax(1) == y).sum().item()


def fine_saliency():
    model, optimizer = build()
    train(model, optimizer)
    model.eval()
    for _ in range(3):
        x = batch()[0].requires_grad_()
        torch.autograd.grad(model(x)[:, 0].sum(), x)[0].abs().mean().item()


def fine_adversarial_examples():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        x, y = batch()
        x.requires_grad_()
        F.cross_entropy(model(x), y).backward()
        model.zero_grad()
        with torch.no_grad():
            model(x + x.grad.sign()).argmax(1)


def fine_loss_kept_for_later():
    model, optimizer = build()
    train(model, optimizer)
    model.eval()
    losses = []
    for _ in range(3):
        x, y = batch()
        losses.append(F.cross_entropy(model(x), y))
    torch.stack(losses).mean().backward()
    model.zero_grad()


def fine_model_that_nobody_trained():
    model, _ = build()
    model.eval()
    for _ in range(3):
        model(batch()[0]).argmax(1)


def fine_frozen_model():
    model, optimizer = build()
    train(model, optimizer)
    model.requires_grad_(False).eval()
    for _ in range(3):
        model(batch()[0]).argmax(1)
