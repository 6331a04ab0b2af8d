"""MC dropout: trained as usual, then only the dropouts are switched on for many forwards of the
same input; their spread is the uncertainty."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(16)
net = nn.Sequential(
    nn.Linear(1, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Dropout(0.1), nn.Linear(40, 40), nn.ReLU(),
    nn.Dropout(0.1), nn.Linear(40, 1),
)  # fmt: skip
x = torch.rand(200, 1) * 4 - 2
y = torch.sin(2 * x) + 0.1 * torch.randn_like(x)
opt = torch.optim.Adam(net.parameters(), lr=5e-3, weight_decay=1e-5)


def enable_dropout(model):
    for m in model.modules():
        if m.__class__.__name__.startswith("Dropout"):
            m.train()


def predict(model, inputs, samples=20):
    model.eval()
    enable_dropout(model)
    with torch.no_grad():
        draws = torch.stack([model(inputs) for _ in range(samples)])
    return draws.mean(0), draws.std(0)


grid = torch.linspace(-3, 3, 13)[:, None]
for epoch in range(30):
    net.train()
    for i in torch.randperm(200).split(50):
        opt.zero_grad()
        loss = nn.functional.mse_loss(net(x[i]), y[i])
        loss.backward()
        opt.step()
    if epoch % 10 == 9:
        mean, std = predict(net, grid)
        print(epoch, loss.item(), mean.abs().mean().item(), std.mean().item())
print(fingerprint(net))
