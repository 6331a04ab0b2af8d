"""learn2learn-like first-order MAML: fast weights that stay in the graph of the learner's own
parameters, one backward for the whole meta-batch."""

import torch
from torch import nn
from torch.func import functional_call
from weights import fingerprint

torch.manual_seed(9)
net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
mse = nn.MSELoss()


def adapt(params, x, y, lr=0.05, first_order=True):
    loss = mse(functional_call(net, params, (x,)), y)
    grads = torch.autograd.grad(loss, tuple(params.values()), create_graph=not first_order)
    return {k: p - lr * g for (k, p), g in zip(params.items(), grads, strict=True)}


for it in range(20):
    opt.zero_grad()
    total = torch.zeros(())
    for _ in range(3):
        slope = torch.randn(1)
        x = torch.randn(16, 1)
        y = slope * x
        params = dict(net.named_parameters())
        for _ in range(2):
            params = adapt(params, x[:8], y[:8])
        total += mse(functional_call(net, params, (x[8:],)), y[8:])
    (total / 3).backward()
    opt.step()
    if it % 4 == 0:
        print(it, total.item())
print(fingerprint(net))
