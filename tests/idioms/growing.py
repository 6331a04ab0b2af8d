"""A model that grows: a layer and its parameter group are added while training goes on, a net is
widened with copied weights and a fresh optimizer, and a head is re-made every epoch as in
DeepCluster."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


def epoch(model, optimizer, y):
    model.train()
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(F.cross_entropy(model(x), y).item())


torch.manual_seed(70)
x = torch.randn(192, 6)
y = x[:, :3].argmax(1)
model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
epoch(model, optimizer, y)
for _ in range(2):
    layer = nn.Sequential(nn.Linear(12, 12), nn.ReLU())
    nn.init.eye_(layer[0].weight)
    nn.init.zeros_(layer[0].bias)
    head = model.pop(-1)
    model.append(layer).append(head)
    optimizer.add_param_group({"params": layer.parameters(), "lr": 3e-3})
    epoch(model, optimizer, y)

wide = copy.deepcopy(model)
old, after = wide[0], wide[2][0]
wide[0] = nn.Linear(6, 16)
wide[2][0] = nn.Linear(16, 12)
with torch.no_grad():
    pick = torch.cat([torch.arange(12), torch.randint(12, (4,))])
    count = torch.bincount(pick, minlength=12)[pick]
    wide[0].weight.copy_(old.weight[pick] + 1e-3 * torch.randn(16, 6))
    wide[0].bias.copy_(old.bias[pick])
    wide[2][0].weight.copy_(after.weight[:, pick] / count)
    wide[2][0].bias.copy_(after.bias)
epoch(wide, torch.optim.Adam(wide.parameters(), lr=3e-3), y)

body, head = nn.Sequential(nn.Linear(6, 12), nn.ReLU()), nn.Linear(12, 4)
of_body = torch.optim.SGD(body.parameters(), lr=0.05, momentum=0.9)
for _ in range(3):
    body.eval()
    with torch.no_grad():
        features = body(x)
    body.train()
    centers = features[torch.randperm(192)[:4]]
    labels = torch.cdist(features, centers).argmin(1)
    head = nn.Linear(12, 4)
    nn.init.normal_(head.weight, std=0.01)
    of_head = torch.optim.SGD(head.parameters(), lr=0.05)
    for rows in torch.randperm(192).split(32):
        of_body.zero_grad()
        of_head.zero_grad()
        loss = F.cross_entropy(head(body(x[rows])), labels[rows])
        loss.backward()
        of_body.step()
        of_head.step()
    print(loss.item())
print(fingerprint(model, wide, body, head))
