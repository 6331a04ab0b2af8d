"""Early stopping: the best state kept by deepcopy, patience, loaded back at the end."""

import copy

import torch
from torch import nn
from weights import fingerprint


class EarlyStopping:
    def __init__(self, patience=3):
        self.patience, self.best, self.bad, self.state = patience, None, 0, None

    def __call__(self, value, model):
        if self.best is None or value < self.best:
            self.best, self.bad = value, 0
            self.state = copy.deepcopy(model.state_dict())
        else:
            self.bad += 1
        return self.bad >= self.patience


torch.manual_seed(57)
x = torch.randn(90, 20)
y = (x[:, 0] + 0.7 * torch.randn(90) > 0).float()
model = nn.Sequential(nn.Linear(20, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = nn.BCEWithLogitsLoss()
stopper = EarlyStopping()
for epoch in range(40):
    model.train()
    for i in torch.randperm(48).split(16):
        optimizer.zero_grad()
        loss = criterion(model(x[i]).squeeze(-1), y[i])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        val = criterion(model(x[48:70]).squeeze(-1), y[48:70]).item()
    print(epoch, loss.item(), val)
    if stopper(val, model):
        print("stop")
        break
model.load_state_dict(stopper.state)
model.eval()
with torch.no_grad():
    p = torch.sigmoid(model(x[70:]).squeeze(-1))
print("test", ((p > 0.5) == (y[70:] > 0.5)).float().mean().item(), fingerprint(model))
