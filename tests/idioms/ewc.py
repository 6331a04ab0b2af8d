"""Elastic weight consolidation: after the first task the Fisher information is estimated by
backwards in eval mode that no step uses, then a second task is trained with the penalty."""

import torch
import torch.nn.functional as F
from torch import nn, optim
from weights import fingerprint


class EWC:
    def __init__(self, model, x, y):
        self.model = model
        self.means = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
        self.fisher = {n: torch.zeros_like(p) for n, p in self.means.items()}
        was = model.training
        model.eval()
        for sample, label in zip(x.split(1), y.split(1), strict=True):
            model.zero_grad()
            loss = F.nll_loss(F.log_softmax(model(sample), dim=1), label)
            loss.backward()
            for n, p in model.named_parameters():
                self.fisher[n] += p.grad.detach() ** 2 / len(x)
        model.zero_grad()
        model.train(was)

    def penalty(self):
        return sum(
            (self.fisher[n] * (p - self.means[n]) ** 2).sum()
            for n, p in self.model.named_parameters()
        )


def fit(model, x, y, ewc=None, strength=50.0):
    opt = optim.SGD(model.parameters(), lr=0.1)
    model.train()
    for _ in range(5):
        for i in torch.randperm(len(x)).split(32):
            opt.zero_grad()
            loss = F.cross_entropy(model(x[i]), y[i])
            if ewc is not None:
                loss = loss + strength * ewc.penalty()
            loss.backward()
            opt.step()
    return loss.item()


def test(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


torch.manual_seed(51)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 2))
x1, x2 = torch.randn(192, 8), torch.randn(192, 8) + 1
y1, y2 = (x1[:, 0] > 0).long(), (x2[:, 1] > 1).long()
print(fit(model, x1, y1), test(model, x1, y1))
ewc = EWC(model, x1[:30], y1[:30])
print(fit(model, x2, y2, ewc), test(model, x1, y1), test(model, x2, y2))
print(fingerprint(model))
