"""Three heads on one body; each batch belongs to one task, so two heads have no gradient in it."""

import torch
from torch import nn
from weights import fingerprint


class MultiTask(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Dropout(0.1))
        self.heads = nn.ModuleDict(
            {"sort": nn.Linear(32, 4), "value": nn.Linear(32, 1), "flag": nn.Linear(32, 1)}
        )

    def forward(self, x, task):
        return self.heads[task](self.body(x))


LOSSES = {
    "sort": nn.CrossEntropyLoss(),
    "value": nn.SmoothL1Loss(),
    "flag": nn.BCEWithLogitsLoss(),
}


def batches(epoch):
    g = torch.Generator().manual_seed(epoch)
    for k in range(18):
        task = ("sort", "value", "flag")[int(torch.randint(0, 3, (1,), generator=g)) if k else 0]
        x = torch.randn(32, 12, generator=g)
        target = {
            "sort": x[:, :4].argmax(1),
            "value": x.sum(1, keepdim=True),
            "flag": (x[:, :1] > 0).float(),
        }[task]
        yield task, x, target


torch.manual_seed(27)
model = MultiTask()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for epoch in range(4):
    model.train()
    seen = dict.fromkeys(LOSSES, 0.0)
    for task, x, target in batches(epoch):
        optimizer.zero_grad()
        loss = LOSSES[task](model(x, task), target)
        loss.backward()
        optimizer.step()
        seen[task] = loss.item()
    print(epoch, seen)
print(fingerprint(model))
