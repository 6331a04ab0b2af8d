"""torch.func before and between training: jacobians by vmap over vjp and jvp with tensors filled
inside the transforms, a hessian, a neural tangent kernel of the model in training."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, hessian, jacfwd, jacrev, jvp, vjp, vmap
from weights import fingerprint


def predict(weight, x):
    shift = torch.empty_like(x).fill_(0.5)
    scale = torch.ones(3)
    return (torch.tanh(x @ weight + shift.sum()) * torch.zeros_like(scale).fill_(2.0)).sum(-1)


def by_rows(x, weight):
    def cube(v):
        out = torch.zeros_like(v)
        out.copy_(v**3)
        return out * weight

    _, pull = vjp(cube, x)
    rows = vmap(pull)(torch.eye(3))[0]
    columns = vmap(lambda e: jvp(cube, (x,), (torch.zeros_like(e).copy_(e),))[1])(torch.eye(3))
    return rows, columns


torch.manual_seed(59)
weight, x = torch.randn(3, 3), torch.randn(3)
print(jacrev(predict)(weight, x).sum().item(), jacfwd(predict)(weight, x).sum().item())
print(hessian(lambda v: v.pow(3).sum() * v.clone().fill_(1.0).sum())(x).trace().item())
print(*(part.sum().item() for part in by_rows(x, weight[0])))

data = torch.randn(64, 3)
target = data.prod(1, keepdim=True)
model = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(3):
    for xb, yb in zip(data.split(16), target.split(16), strict=True):
        optimizer.zero_grad()
        F.mse_loss(model(xb), yb).backward()
        optimizer.step()
    held = {name: p.detach() for name, p in model.named_parameters()}

    def one(parameters, sample):
        return functional_call(model, parameters, (sample.unsqueeze(0),)).squeeze()

    each = vmap(jacrev(one), (None, 0))(held, data[:8])
    flat = torch.cat([part.flatten(1) for part in each.values()], 1)
    print(epoch, (flat @ flat.t()).trace().item())
print(fingerprint(model))
