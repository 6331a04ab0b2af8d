"""An optimizer per parameter, stepped inside backward by post-accumulate-grad hooks."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(32)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
optimizers = {p: torch.optim.Adam([p], lr=2e-3, foreach=False) for p in model.parameters()}


def optimizer_hook(parameter):
    optimizers[parameter].step()
    optimizers[parameter].zero_grad()


for p in model.parameters():
    p.register_post_accumulate_grad_hook(optimizer_hook)

x = torch.randn(256, 8)
y = x.abs().max(1, keepdim=True).values
for epoch in range(4):
    for i in torch.randperm(256).split(32):
        loss = nn.functional.mse_loss(model(x[i]), y[i])
        loss.backward()
    print(epoch, loss.item())
print(fingerprint(model))
