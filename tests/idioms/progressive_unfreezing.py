"""ULMFiT-like: everything but the head frozen at first, a group added to the optimizer with each
stage; frozen batch norms kept in eval."""

import torch
from torch import nn
from weights import fingerprint

torch.manual_seed(30)
x = torch.randn(256, 10)
y = (x[:, 0] * x[:, 1] > 0).long()
layers = [
    nn.Sequential(nn.Linear(10 if k == 0 else 24, 24), nn.BatchNorm1d(24), nn.ReLU())
    for k in range(3)
]
backbone = nn.Sequential(*layers)
head = nn.Linear(24, 2)
model = nn.Sequential(backbone, head)

for p in backbone.parameters():
    p.requires_grad = False
optimizer = torch.optim.Adam(head.parameters(), lr=5e-3)


def set_train(model):
    model.train()
    for layer in layers:
        if not next(layer.parameters()).requires_grad:
            layer.eval()


for epoch in range(8):
    if epoch in (2, 4, 6):
        layer = layers[3 - epoch // 2]
        for p in layer.parameters():
            p.requires_grad = True
        optimizer.add_param_group({"params": layer.parameters(), "lr": 5e-3 / 2.6 ** (epoch // 2)})
    set_train(model)
    for i in torch.randperm(256).split(32):
        loss = nn.functional.cross_entropy(model(x[i]), y[i])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trainable = sum(p.requires_grad for p in model.parameters())
    print(epoch, loss.item(), trainable, len(optimizer.param_groups))
print(fingerprint(model))
