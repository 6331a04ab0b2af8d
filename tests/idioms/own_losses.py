"""Losses written by hand: label smoothing over log-softmax, focal loss over log-probabilities that
are gathered and masked, NLL on a log of a mixture of softmaxes, dice on sigmoids."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from weights import fingerprint


class LabelSmoothing(nn.Module):
    def __init__(self, smoothing=0.1):
        super().__init__()
        self.confidence, self.smoothing = 1.0 - smoothing, smoothing

    def forward(self, x, target):
        logprobs = F.log_softmax(x, dim=-1)
        nll_loss = -logprobs.gather(dim=-1, index=target.unsqueeze(1)).squeeze(1)
        smooth_loss = -logprobs.mean(dim=-1)
        return (self.confidence * nll_loss + self.smoothing * smooth_loss).mean()


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0, alpha=(0.2, 0.3, 0.5)):
        super().__init__()
        self.gamma = gamma
        self.register_buffer("alpha", torch.tensor(alpha))

    def forward(self, x, target):
        log_p = F.log_softmax(x, dim=-1)
        ce = F.nll_loss(log_p, target, weight=self.alpha, reduction="none")
        pt = log_p[torch.arange(len(x)), target].exp()
        return ((1 - pt) ** self.gamma * ce).mean()


def mixture_nll(x, target):
    half = torch.stack([x.softmax(-1), (x / 2).softmax(-1)]).mean(0)
    return F.nll_loss(torch.log(half + 1e-9), target)


def dice(x, target):
    p, t = torch.sigmoid(x), F.one_hot(target, 3).float()
    inter = (p * t).sum(0)
    return 1 - ((2 * inter + 1) / (p.sum(0) + t.sum(0) + 1)).mean()


def masked_nll(x, target):
    logp = F.log_softmax(x, 1).reshape(-1, 3)
    keep = target.reshape(-1) != 2
    return F.nll_loss(logp[keep], target.reshape(-1)[keep])


torch.manual_seed(42)
x = torch.randn(240, 6)
y = x[:, :3].argmax(1)
for criterion in (LabelSmoothing(), FocalLoss(), mixture_nll, dice, masked_nll):
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(3):
        for i in torch.randperm(240).split(60):
            opt.zero_grad()
            loss = criterion(net(x[i]), y[i])
            loss.backward()
            opt.step()
    print(getattr(criterion, "__name__", type(criterion).__name__), loss.item(), fingerprint(net))
