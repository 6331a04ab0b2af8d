"""Bilevel: first-order DARTS (architecture weights and network weights with an optimizer each,
every loss reaching both), and a hyperparameter learned through one unrolled step."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from weights import fingerprint


class Mixed(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.ops = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(width, width), nn.ReLU()),
                nn.Sequential(nn.Linear(width, width), nn.Tanh()),
                nn.Identity(),
            ]
        )

    def forward(self, x, weights):
        return sum(w * op(x) for w, op in zip(weights, self.ops, strict=True))


class Searched(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(6, 12), nn.Linear(12, 2)
        self.cells = nn.ModuleList(Mixed(12) for _ in range(2))
        self.alphas = nn.Parameter(1e-3 * torch.randn(2, 3))

    def weights(self):
        return [p for name, p in self.named_parameters() if name != "alphas"]

    def forward(self, x):
        x = self.stem(x)
        for cell, alpha in zip(self.cells, self.alphas, strict=True):
            x = cell(x, F.softmax(alpha, dim=-1))
        return self.head(x)


torch.manual_seed(62)
x = torch.randn(256, 6)
y = (x[:, 0] * x[:, 1] > 0).long()
model = Searched()
optimizer = torch.optim.SGD(model.weights(), lr=0.05, momentum=0.9, weight_decay=3e-4)
architect = torch.optim.Adam([model.alphas], lr=3e-3, betas=(0.5, 0.999))
for epoch in range(3):
    for at in range(0, 128, 32):
        architect.zero_grad()
        F.cross_entropy(model(x[128 + at : 160 + at]), y[128 + at : 160 + at]).backward()
        architect.step()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[at : at + 32]), y[at : at + 32])
        loss.backward()
        nn.utils.clip_grad_norm_(model.weights(), 5.0)
        optimizer.step()
    print(epoch, loss.item())
print(fingerprint(model))

net = nn.Linear(6, 2)
log_decay = torch.tensor(-4.0, requires_grad=True)
outer = torch.optim.Adam([log_decay], lr=0.1)
inner = torch.optim.SGD(net.parameters(), lr=0.1)
for step in range(8):
    loss = F.cross_entropy(net(x[:64]), y[:64])
    loss = loss + log_decay.exp() * sum(p.pow(2).sum() for p in net.parameters())
    slopes = torch.autograd.grad(loss, net.parameters(), create_graph=True)
    names = [name for name, _ in net.named_parameters()]
    moved = {name: p - 0.1 * s for name, p, s in zip(names, net.parameters(), slopes, strict=True)}
    outer.zero_grad()
    F.cross_entropy(functional_call(net, moved, (x[64:128],)), y[64:128]).backward()
    outer.step()
    inner.zero_grad()
    F.cross_entropy(net(x[:64]), y[:64]).backward(inputs=(p for p in net.parameters()))
    inner.step()
print(log_decay.item(), fingerprint(net))
