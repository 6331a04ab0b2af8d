"""torch.func training: parameters in a dict, grad_and_value of a pure function, updates by hand;
the module itself is only a shape."""

import torch
from torch import nn
from torch.func import functional_call, grad_and_value
from weights import fingerprint

torch.manual_seed(35)
module = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
params = {k: v.detach().clone() for k, v in module.named_parameters()}
momentum = {k: torch.zeros_like(v) for k, v in params.items()}
x = torch.randn(128, 4)
y = x[:, :3].argmax(1)


def loss_fn(params, x, y):
    logits = functional_call(module, params, (x,))
    return nn.functional.cross_entropy(logits, y)


for step in range(40):
    i = torch.randint(0, 128, (32,))
    grads, loss = grad_and_value(loss_fn)(params, x[i], y[i])
    momentum = {k: 0.9 * momentum[k] + grads[k] for k in params}
    params = {k: params[k] - 0.1 * momentum[k] for k in params}
    if step % 10 == 0:
        print(step, loss.item())
with torch.no_grad():
    logits = functional_call(module, params, (x,))
    print("accuracy", (logits.argmax(1) == y).float().mean().item())
print(fingerprint(*params.values()))
