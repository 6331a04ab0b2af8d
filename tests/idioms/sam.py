"""SAM (davda54's): a wrapper optimizer with first_step and second_step around a base optimizer;
two forwards and backwards to one update, batch norm statistics held in the second."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from weights import fingerprint


class SAM(torch.optim.Optimizer):
    def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
        super().__init__(params, {"rho": rho, **kwargs})
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        norm = torch.norm(
            torch.stack([p.grad.norm(p=2) for g in self.param_groups for p in g["params"]]), p=2
        )
        for group in self.param_groups:
            scale = group["rho"] / (norm + 1e-12)
            for p in group["params"]:
                self.state[p]["old_p"] = p.data.clone()
                p.add_(p.grad * scale.to(p))
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad=False):
        for group in self.param_groups:
            for p in group["params"]:
                p.data = self.state[p]["old_p"]
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()


def disable_running_stats(module):
    if isinstance(module, _BatchNorm):
        module.backup_momentum = module.momentum
        module.momentum = 0


def enable_running_stats(module):
    if isinstance(module, _BatchNorm) and hasattr(module, "backup_momentum"):
        module.momentum = module.backup_momentum


torch.manual_seed(21)
x = torch.randn(256, 10)
y = (x[:, :3].sum(1) > 0).long()
model = nn.Sequential(nn.Linear(10, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
optimizer = SAM(model.parameters(), torch.optim.SGD, rho=0.05, lr=0.1, momentum=0.9)
for epoch in range(4):
    for xb, yb in zip(x.split(64), y.split(64), strict=True):
        model.apply(enable_running_stats)
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.first_step(zero_grad=True)
        model.apply(disable_running_stats)
        F.cross_entropy(model(xb), yb).backward()
        optimizer.second_step(zero_grad=True)
    print(epoch, loss.item())
print(fingerprint(model))
