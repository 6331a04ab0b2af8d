"""A vmapped ensemble: stacked parameters are leaves in one optimizer, the base module on the meta
device; per-sample gradients measured on the side."""

import copy

import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from weights import fingerprint

torch.manual_seed(36)
models = [nn.Sequential(nn.Linear(3, 12), nn.ReLU(), nn.Linear(12, 1)) for _ in range(4)]
params, buffers = stack_module_state(models)
base = copy.deepcopy(models[0]).to("meta")
optimizer = torch.optim.Adam(params.values(), lr=5e-3)
x = torch.randn(4, 96, 3)
y = x.sin().sum(-1, keepdim=True)


def one(params, buffers, x):
    return functional_call(base, (params, buffers), (x,))


def sample_loss(params, x, y):
    return (functional_call(base, params, (x,)) - y).square().mean()


per_sample = vmap(grad(sample_loss), in_dims=(None, 0, 0))
for step in range(30):
    optimizer.zero_grad()
    out = vmap(one)(params, buffers, x)
    loss = (out - y).square().mean(dim=(1, 2)).sum()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        first = {k: v[0].detach() for k, v in params.items()}
        norms = per_sample(first, x[0, :8], y[0, :8])["0.weight"].flatten(1).norm(dim=1)
        print(step, loss.item(), norms.max().item())
print(fingerprint(*params.values()))
