"""A snapshot ensemble over warm restarts, copies of the state kept on the side and averaged (a
model soup), each member evaluated by loading it into one shell; stochastic weight noise from their
spread."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


def net():
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))


torch.manual_seed(76)
x = torch.randn(160, 6)
y = (x[:, 0] > 0).long()
model, shell = net(), net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10)
members = []
for _ in range(6):
    model.train()
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(model(xb), yb).backward()
        optimizer.step()
        scheduler.step()
    if scheduler.T_cur == 0:
        members.append(copy.deepcopy(model.state_dict()))
shell.eval()
votes = torch.zeros(160, 2)
with torch.no_grad():
    for member in members:
        shell.load_state_dict(member)
        votes += shell(x).softmax(1)
        print(F.cross_entropy(shell(x), y).item())
soup = {
    name: torch.stack([member[name].float() for member in members]).mean(0).to(value.dtype)
    for name, value in members[0].items()
}
shell.load_state_dict(soup)
with torch.no_grad():
    print((votes.argmax(1) == y).float().mean().item(), F.cross_entropy(shell(x), y).item())
    for name, p in shell.named_parameters():
        p.add_(torch.randn_like(p) * torch.stack([m[name] for m in members]).std(0))
    print(F.cross_entropy(shell(x), y).item())
print(fingerprint(model, shell))
