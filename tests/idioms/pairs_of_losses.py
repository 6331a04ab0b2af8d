"""Losses that broadcast on purpose or look it: a margin of scores against scores, huber of
quantiles, MMD kernels, a mixture density, Gaussian NLL with a variance per batch, class weights,
masks of shape [N, 1]."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(77)
x = torch.randn(128, 4)
y = x.sum(1) + 0.1 * torch.randn(128)
body = nn.Sequential(nn.Linear(4, 16), nn.Tanh())
heads = nn.ModuleDict(
    {
        "score": nn.Linear(16, 1), "quantile": nn.Linear(16, 5), "mixture": nn.Linear(16, 9),
        "sample": nn.Linear(16, 2), "mean": nn.Linear(16, 1),
    }
)  # fmt: skip
log_variance = nn.Parameter(torch.zeros(1))
optimizer = torch.optim.Adam([*body.parameters(), *heads.parameters(), log_variance], lr=5e-3)


def kernel(a, b):
    return sum(torch.exp(-torch.cdist(a, b).pow(2) / s) for s in (0.5, 2.0))


levels = torch.linspace(0.1, 0.9, 5)
for epoch in range(3):
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        h = body(xb)
        score = heads["score"](h)
        ranks = F.relu(0.1 - (score - score.t()) * (yb[:, None] - yb[None]).sign()).mean()
        error = yb[:, None] - heads["quantile"](h)
        pinball = torch.max(levels * error, (levels - 1) * error).mean()
        pi, mean, log_std = heads["mixture"](h).chunk(3, 1)
        log_p = F.log_softmax(pi, 1) - 0.5 * ((yb[:, None] - mean) / log_std.exp()).pow(2)
        mixture = -torch.logsumexp(log_p - log_std - 0.5 * math.log(2 * math.pi), 1).mean()
        sample, real = heads["sample"](h), xb[:, :2]
        mmd = kernel(sample, sample).mean() - 2 * kernel(sample, real).mean()
        predicted = heads["mean"](h).squeeze(1)
        gauss = 0.5 * ((yb - predicted).pow(2) / log_variance.exp() + log_variance).mean()
        mask = (torch.rand(32, 1) < 0.8).float()
        masked = ((heads["quantile"](h) - xb.mean(1, keepdim=True)).pow(2) * mask).sum()
        loss = ranks + pinball + 0.1 * mixture + mmd + gauss + 0.01 * masked / mask.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
print(fingerprint(body, heads, log_variance))
