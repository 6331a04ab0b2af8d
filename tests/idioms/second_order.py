"""Second order: Hessian-vector products by double backward, conjugate gradients, a Gauss-Newton
step by hand, influence functions after training, a penalty on the gradient's norm."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from weights import fingerprint


def flat_grad(value, parameters, **options):
    return torch.cat([g.reshape(-1) for g in torch.autograd.grad(value, parameters, **options)])


def hessian_vector(loss, parameters, vector, damping=0.1):
    slope = flat_grad(loss, parameters, create_graph=True)
    return flat_grad(slope @ vector, parameters, retain_graph=True).detach() + damping * vector


def conjugate_gradients(product, b, steps=6):
    x, r = torch.zeros_like(b), b.clone()
    p, rr = r.clone(), r @ r
    for _ in range(steps):
        ap = product(p)
        a = rr / (p @ ap)
        x, r = x + a * p, r - a * ap
        new = r @ r
        p, rr = r + new / rr * p, new
    return x


torch.manual_seed(53)
x = torch.randn(96, 5)
y = torch.sin(x[:, :1])
model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
parameters = list(model.parameters())
optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9)
for _ in range(12):
    optimizer.zero_grad()
    loss = F.mse_loss(model(x), y)
    slopes = torch.autograd.grad(loss, parameters, create_graph=True)
    (loss + 0.01 * sum(s.pow(2).sum() for s in slopes)).backward()
    optimizer.step()
print(loss.item())
for _ in range(4):
    loss = F.mse_loss(model(x), y)
    slope = flat_grad(loss, parameters, retain_graph=True)
    step = conjugate_gradients(lambda v, at=loss: hessian_vector(at, parameters, v), slope)
    vector_to_parameters(parameters_to_vector(parameters).detach() - 0.5 * step, parameters)
    print(loss.item())

model.eval()
test = flat_grad(F.mse_loss(model(x[:1]), y[:1]), parameters)
loss = F.mse_loss(model(x), y)
inverse = conjugate_gradients(lambda v: hessian_vector(loss, parameters, v), test)
for i in range(3):
    one = flat_grad(F.mse_loss(model(x[i : i + 1]), y[i : i + 1]), parameters)
    print(-(inverse @ one).item())
print(fingerprint(model))
