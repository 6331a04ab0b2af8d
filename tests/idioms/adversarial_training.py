"""PGD adversarial training: the attack runs in eval mode and switches back, gradients of the input
by backward (leaving some in the weights, cleared before the real one) and by autograd.grad."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from weights import fingerprint


def pgd(model, x, y, eps=0.3, alpha=0.1, steps=3):
    model.eval()
    adv = x.detach() + 0.001 * torch.randn_like(x)
    for _ in range(steps):
        adv.requires_grad_()
        with torch.enable_grad():
            loss = F.cross_entropy(model(adv), y)
        grad = torch.autograd.grad(loss, [adv])[0]
        adv = adv.detach() + alpha * torch.sign(grad.detach())
        adv = torch.min(torch.max(adv, x - eps), x + eps)
    model.train()
    return adv.detach()


def fgsm(model, x, y, eps=0.2):
    x = x.clone().requires_grad_(True)
    F.cross_entropy(model(x), y).backward()
    return (x + eps * x.grad.sign()).detach()


torch.manual_seed(61)
x = torch.randn(240, 12)
y = (x[:, :6].sum(1) > x[:, 6:].sum(1)).long()
model = nn.Sequential(
    nn.Linear(12, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 2)
)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
for epoch in range(4):
    model.train()
    for i in torch.randperm(192).split(32):
        adv = fgsm(model, x[i], y[i]) if epoch % 2 else pgd(model, x[i], y[i])
        optimizer.zero_grad()
        loss = F.cross_entropy(model(adv), y[i])
        loss.backward()
        optimizer.step()
    adv = pgd(model, x[192:], y[192:])
    model.eval()
    with torch.no_grad():
        clean = (model(x[192:]).argmax(1) == y[192:]).float().mean().item()
        robust = (model(adv).argmax(1) == y[192:]).float().mean().item()
    print(epoch, loss.item(), clean, robust)
print(fingerprint(model))
