"""Gradient surgery: one backward per task over a retained graph, the conflicting parts projected
away, the result written into .grad by hand."""

import torch
from torch import nn
from weights import fingerprint


class PCGrad:
    def __init__(self, optimizer):
        self.optim = optimizer
        self.params = [p for g in optimizer.param_groups for p in g["params"]]

    def backward(self, losses):
        grads = []
        for loss in losses:
            self.optim.zero_grad(set_to_none=True)
            loss.backward(retain_graph=True)
            grads.append(
                [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in self.params]
            )
        flat = [torch.cat([g.flatten() for g in task]) for task in grads]
        out = [f.clone() for f in flat]
        for i, g in enumerate(out):
            for j, other in enumerate(flat):
                dot = g @ other
                if i != j and dot < 0:
                    g -= dot / (other @ other) * other
        merged, at = torch.stack(out).sum(0), 0
        for p in self.params:
            p.grad = merged[at : at + p.numel()].view_as(p).clone()
            at += p.numel()


torch.manual_seed(38)
body = nn.Sequential(nn.Linear(6, 24), nn.ReLU())
heads = nn.ModuleList([nn.Linear(24, 1), nn.Linear(24, 3)])
adam = torch.optim.Adam([*body.parameters(), *heads.parameters()], lr=3e-3)
pc = PCGrad(adam)
x = torch.randn(200, 6)
t1, t2 = x.sum(1, keepdim=True), x[:, :3].argmin(1)
for step in range(30):
    i = torch.randint(0, 200, (40,))
    h = body(x[i])
    losses = [
        nn.functional.mse_loss(heads[0](h), t1[i]),
        nn.functional.cross_entropy(heads[1](h), t2[i]),
    ]
    pc.backward(losses)
    adam.step()
    if step % 10 == 0:
        print(step, *[loss.item() for loss in losses])
print(fingerprint(body, heads))
