"""Quantisation-aware training: fake-quantised weights with a straight-through estimator (by detach
and by a Function), ranges observed in buffers."""

import torch
from torch import nn
from weights import fingerprint


class RoundSTE(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, grad):
        return grad


class QuantLinear(nn.Linear):
    def __init__(self, *args, bits=4):
        super().__init__(*args)
        self.levels = 2 ** (bits - 1) - 1
        self.register_buffer("amax", torch.zeros(()))

    def forward(self, x):
        scale = self.weight.detach().abs().max() / self.levels
        w = RoundSTE.apply(self.weight / scale).clamp(-self.levels, self.levels) * scale
        if self.training:
            with torch.no_grad():
                self.amax.mul_(0.9).add_(0.1 * x.abs().max())
        step = self.amax / 127
        q = (x / step).round().clamp(-127, 127) * step
        x = x + (q - x).detach()
        return nn.functional.linear(x, w, self.bias)


def sign_ste(x):
    return (x.sign() - x).detach() + x


torch.manual_seed(59)
net = nn.Sequential(QuantLinear(8, 32), nn.ReLU(), QuantLinear(32, 32), nn.Tanh(), nn.Linear(32, 3))
opt = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
x = sign_ste(torch.randn(240, 8)) + 0.1 * torch.randn(240, 8)
y = (x[:, :3] + 0.1 * torch.randn(240, 3)).argmax(1)
for epoch in range(5):
    net.train()
    for i in torch.randperm(200).split(40):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x[i]), y[i])
        loss.backward()
        opt.step()
    net.eval()
    with torch.no_grad():
        print(epoch, loss.item(), (net(x[200:]).argmax(1) == y[200:]).float().mean().item())
print(fingerprint(net))
