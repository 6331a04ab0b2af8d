"""The tutorial's program: it runs, its loss falls, and one call is in the wrong place."""

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


def blobs(count, centres):
    """``count`` noisy points, shape (count, 8), and the number of the centre each lies around."""
    labels = torch.randint(len(centres), (count,))
    return TensorDataset(centres[labels] + torch.randn(count, 8), labels)


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    return right / len(loader.dataset)


torch.manual_seed(0)
centres = torch.randn(4, 8)
training = DataLoader(blobs(320, centres), batch_size=32, shuffle=True)
validation = DataLoader(blobs(80, centres), batch_size=80)
model = nn.Sequential(
    nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 4)
)
optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

model.train()
for epoch in range(1, 4):
    for x, y in training:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}  loss {loss.item():.3f}  accuracy {accuracy(model, validation):.3f}")
