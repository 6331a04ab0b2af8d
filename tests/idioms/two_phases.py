"""Two-phase training: the head alone with one optimizer over the frozen backbone's features in eval
mode, then everything with a second optimizer and its own schedule; then the two halves freeze in
turn."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(10, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.1), nn.Linear(24, 16)
        )
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(F.relu(self.backbone(x)))


def epoch(model, optimizer, scheduler=None):
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
    if scheduler is not None:
        scheduler.step()
    model.eval()
    with torch.no_grad():
        print(F.cross_entropy(model(x), y).item())


torch.manual_seed(45)
x = torch.randn(256, 10)
y = x[:, :3].argmax(1)
model = Net()
model.backbone.requires_grad_(False)
optimizer = torch.optim.Adam(model.head.parameters(), lr=1e-2)
for _ in range(3):
    model.train()
    model.backbone.eval()
    epoch(model, optimizer)

model.requires_grad_(True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
for _ in range(4):
    model.train()
    epoch(model, optimizer, scheduler)

optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for turn in range(4):
    model.train()
    model.backbone.requires_grad_(turn % 2 == 0)
    model.head.requires_grad_(turn % 2 == 1)
    if turn % 2 == 1:
        model.backbone.eval()
    optimizer.zero_grad(set_to_none=True)
    epoch(model, optimizer)
print(fingerprint(model))
