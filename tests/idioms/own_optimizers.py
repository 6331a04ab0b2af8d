"""Optimizers of the user's own: one written as a plain class over lists, a torch.optim.Optimizer
subclass with its own state, two optimizers for two kinds of tensors, a schedule-free one with train
and eval."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer
from weights import fingerprint


class PlainAdam:
    def __init__(self, parameters, rate=1e-2):
        self.parameters, self.rate, self.t = list(parameters), rate, 0
        self.m = [torch.zeros_like(p) for p in self.parameters]
        self.v = [torch.zeros_like(p) for p in self.parameters]

    def zero_grad(self):
        for p in self.parameters:
            if p.grad is not None:
                p.grad.detach_()
                p.grad.zero_()

    @torch.no_grad()
    def step(self):
        self.t += 1
        for p, m, v in zip(self.parameters, self.m, self.v, strict=True):
            m.mul_(0.9).add_(p.grad, alpha=0.1)
            v.mul_(0.99).addcmul_(p.grad, p.grad, value=0.01)
            p -= self.rate * (m / (1 - 0.9**self.t)) / ((v / (1 - 0.99**self.t)).sqrt() + 1e-8)


class SignMomentum(Optimizer):
    def __init__(self, params, lr=1e-3, beta=0.9):
        super().__init__(params, {"lr": lr, "beta": beta})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["m"] = torch.zeros_like(p)
                state["m"].lerp_(p.grad, 1 - group["beta"])
                p.data.add_(state["m"].sign(), alpha=-group["lr"])


class Orthogonal(Optimizer):
    """Muon: the momentum of a matrix made nearly orthogonal by Newton-Schulz steps."""

    def __init__(self, params, lr=0.02):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.mul_(0.9).add_(p.grad)
                u = m / (m.norm() + 1e-7)
                for _ in range(3):
                    s = u @ u.t()
                    u = 3.4445 * u + (-4.775 * s + 2.0315 * s @ s) @ u
                p.add_(u, alpha=-group["lr"])


class ScheduleFree(Optimizer):
    """The parameters are a mean in eval and between mean and iterate in train."""

    def __init__(self, params, lr=0.1, beta=0.9):
        super().__init__(params, {"lr": lr, "beta": beta, "t": 0, "training": True})

    @torch.no_grad()
    def swap(self, training):
        for group in self.param_groups:
            if group["training"] != training:
                weight = 1 - group["beta"] if training else 1 - 1 / group["beta"]
                for p in group["params"]:
                    if "z" in self.state[p]:
                        p.lerp_(self.state[p]["z"], weight)
                group["training"] = training

    def train(self):
        self.swap(True)

    def eval(self):
        self.swap(False)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            group["t"] += 1
            share = 1 / group["t"]
            for p in group["params"]:
                z = self.state[p].setdefault("z", p.detach().clone())
                p.lerp_(z, share)
                p.add_(p.grad, alpha=group["lr"] * (group["beta"] * (1 - share) - 1))
                z.sub_(p.grad, alpha=group["lr"])


def net():
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


def train(model, *optimizers):
    for _epoch in range(3):
        for xb, yb in zip(x.split(32), y.split(32), strict=True):
            for optimizer in optimizers:
                optimizer.zero_grad()
            F.cross_entropy(model(xb), yb).backward()
            for optimizer in optimizers:
                optimizer.step()
        with torch.no_grad():
            print(F.cross_entropy(model(x), y).item())
    print(fingerprint(model))


torch.manual_seed(71)
x = torch.randn(128, 6)
y = (x[:, 0] > 0).long()
model = net()
train(model, PlainAdam(model.parameters()))
model = net()
train(model, SignMomentum(model.parameters()))
model = net()
matrices = [p for p in model.parameters() if p.ndim == 2]
vectors = [p for p in model.parameters() if p.ndim < 2]
train(model, Orthogonal(matrices), torch.optim.AdamW(vectors, lr=1e-2))

model = net()
optimizer = ScheduleFree(model.parameters())
for _ in range(3):
    model.train()
    optimizer.train()
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(model(xb), yb).backward()
        optimizer.step()
    model.eval()
    optimizer.eval()
    with torch.no_grad():
        print(F.cross_entropy(model(x), y).item())
print(fingerprint(model))
