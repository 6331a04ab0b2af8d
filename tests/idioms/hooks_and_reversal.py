"""Domain-adversarial training: a gradient-reversal Function, hooks that read and scale gradients,
activations captured by forward hooks for a feature-matching loss."""

import torch
from torch import nn
from weights import fingerprint


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, alpha):
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.alpha * grad, None


class DANN(nn.Module):
    def __init__(self):
        super().__init__()
        self.feature = nn.Sequential(nn.Linear(10, 24), nn.ReLU())
        self.label = nn.Linear(24, 2)
        self.domain = nn.Sequential(nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x, alpha):
        f = self.feature(x)
        return self.label(f), self.domain(Reverse.apply(f, alpha))


torch.manual_seed(78)
model, ce = DANN(), nn.CrossEntropyLoss()
captured, norms = {}, []
model.feature.register_forward_hook(lambda m, i, o: captured.__setitem__("f", o))
model.label.weight.register_hook(lambda g: norms.append(g.norm().item()))
model.domain[0].weight.register_hook(lambda g: g * 0.5)
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
for step in range(40):
    alpha = 2.0 / (1.0 + 2.718 ** (-10 * step / 40)) - 1
    source, target = torch.randn(32, 10), torch.randn(32, 10) + 1
    out, dom = model(source, alpha)
    f_source = captured["f"].mean(0)
    _, dom_t = model(target, alpha)
    matching = (f_source - captured["f"].mean(0)).square().sum()
    loss = ce(out, (source[:, 0] > 0).long()) + ce(dom, torch.zeros(32).long())
    loss = loss + ce(dom_t, torch.ones(32).long()) + 0.01 * matching
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 10 == 0:
        print(step, loss.item(), norms[-1])
print(fingerprint(model))
