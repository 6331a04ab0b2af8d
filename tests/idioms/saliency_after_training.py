"""Saliency maps, integrated gradients and a gradient-penalty metric after training: graphs built in
eval mode for the gradient of the input, weights frozen or not."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(67)
x = torch.randn(200, 8)
y = (x[:, 2] > 0).long()
model = nn.Sequential(nn.Linear(8, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, 2))
opt = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(4):
    model.train()
    for i in torch.randperm(160).split(32):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x[i]), y[i])
        loss.backward()
        opt.step()
    model.eval()
    probe = x[160:].clone().requires_grad_(True)
    scores = model(probe).gather(1, y[160:, None]).sum()
    (slope,) = torch.autograd.grad(scores, probe)
    print(epoch, loss.item(), "lipschitz", slope.norm(dim=1).max().item())

model.eval()
image = x[:1].clone().requires_grad_()
model(image)[0, y[0]].backward()
saliency = image.grad.abs()[0]
print("most salient", saliency.argmax().item())

for p in model.parameters():
    p.requires_grad_(False)
baseline, steps, total = torch.zeros(1, 8), 16, torch.zeros(1, 8)
for k in range(1, steps + 1):
    point = (baseline + (x[:1] - baseline) * k / steps).requires_grad_()
    total += torch.autograd.grad(model(point)[0, y[0]], point)[0]
attribution = (x[:1] - baseline) * total / steps
print("integrated", attribution.sum().item(), fingerprint(model))
