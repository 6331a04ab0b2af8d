"""Own autograd Functions: a ReLU and a polynomial as in the tutorial, a binary activation with a
clipped straight-through gradient, a linear layer that saves its inputs, a reversible block that
recomputes."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx, *grads):
        (x,) = ctx.saved_tensors
        return grads[0] * (x.abs() <= 1)


class Multiply(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        ctx.save_for_backward(x, weight)
        return x @ weight.t()

    @staticmethod
    def backward(ctx, *grads):
        x, weight = ctx.saved_tensors
        return grads[0] @ weight, grads[0].t() @ x


class Reversible(torch.autograd.Function):
    """y1 = x1 + f(x2), y2 = x2 + g(y1); nothing is saved but the outputs."""

    @staticmethod
    def forward(ctx, x1, x2, f, g, *parameters):
        ctx.f, ctx.g, ctx.count = f, g, len(parameters)
        with torch.no_grad():
            y1 = x1 + f(x2)
            y2 = x2 + g(y1)
        ctx.save_for_backward(y1, y2)
        ctx.parameters = parameters
        return y1, y2

    @staticmethod
    def backward(ctx, *grads):
        y1, y2 = ctx.saved_tensors
        d1, d2 = grads
        with torch.enable_grad():
            y1 = y1.detach().requires_grad_()
            g_of = ctx.g(y1)
            to_y1, *to_g = torch.autograd.grad(g_of, (y1, *ctx.g.parameters()), d2)
        with torch.no_grad():
            x2, d1 = y2 - g_of, d1 + to_y1
        with torch.enable_grad():
            x2 = x2.detach().requires_grad_()
            to_x2, *to_f = torch.autograd.grad(ctx.f(x2), (x2, *ctx.f.parameters()), d1)
        return d1, d2 + to_x2, None, None, *to_f, *to_g


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(0.3 * torch.randn(16, 6))
        self.f = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
        self.g = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
        self.out = nn.Linear(16, 2)

    def forward(self, x):
        a, b = Multiply.apply(x, self.weight).chunk(2, 1)
        parameters = [*self.f.parameters(), *self.g.parameters()]
        a, b = Reversible.apply(a, b, self.f, self.g, *parameters)
        return self.out(torch.cat([a, Sign.apply(b)], 1))


torch.manual_seed(52)
x = torch.randn(192, 6)
y = (x[:, 0] * x[:, 1] > 0).long()
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(4):
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
print(fingerprint(model))
