"""First-order MAML with deep copies: each task trains a clone by its own SGD, and the clone's
gradients on the query set are added to those of the learner."""

import copy

import torch
import torch.nn.functional as F
from torch import nn, optim
from weights import fingerprint


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(2, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU())
        self.classifier = nn.Linear(24, 2)

    def forward(self, x):
        return self.classifier(self.features(x))


def episode(g):
    w = torch.randn(2, generator=g)
    x = torch.randn(40, 2, generator=g)
    y = (x @ w > 0).long()
    return x[:20], y[:20], x[20:], y[20:]


def main():
    torch.manual_seed(8)
    g = torch.Generator().manual_seed(0)
    learner = Learner()
    meta_opt = optim.Adam(learner.parameters(), lr=3e-3)
    for it in range(15):
        meta_opt.zero_grad()
        total, right = 0.0, 0
        for _ in range(4):
            xs, ys, xq, yq = episode(g)
            clone = copy.deepcopy(learner)
            inner = optim.SGD(clone.parameters(), lr=0.1)
            for _ in range(3):
                inner.zero_grad()
                F.cross_entropy(clone(xs), ys).backward()
                inner.step()
            clone.zero_grad()
            logits = clone(xq)
            loss = F.cross_entropy(logits, yq)
            loss.backward()
            for p, q in zip(learner.parameters(), clone.parameters(), strict=True):
                if p.grad is None:
                    p.grad = torch.zeros_like(p)
                p.grad.add_(q.grad / 4)
            total += loss.item()
            right += (logits.argmax(1) == yq).sum().item()
        meta_opt.step()
        print(it, round(total / 4, 6), right / 80)
    print(fingerprint(learner))


if __name__ == "__main__":
    main()
