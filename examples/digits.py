"""A small training program without a mistake: made-up digits, batch norm, dropout, validation, a schedule."""

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

CLASSES, PIXELS, EPOCHS = 10, 8 * 8, 4


class Classifier(nn.Module):
    """A convolution, a hidden layer and ten scores."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear(8 * 16, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, CLASSES)
        )

    def forward(self, images):
        return self.head(self.features(images))


def digits(count, templates, noise=0.7):
    """``count`` noisy copies of the templates, shape (count, 1, 8, 8), and their labels."""
    labels = torch.randint(CLASSES, (count,))
    images = templates[labels] + noise * torch.randn(count, PIXELS)
    return TensorDataset(images.view(-1, 1, 8, 8), labels)


def train(model, loader, optimizer):
    model.train()
    total = 0.0
    for images, labels in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(loader)


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    right = sum((model(images).argmax(1) == labels).sum().item() for images, labels in loader)
    return right / len(loader.dataset)


def main():
    torch.manual_seed(0)
    templates = torch.randn(CLASSES, PIXELS)
    training = DataLoader(digits(800, templates), batch_size=32, shuffle=True)
    validation = DataLoader(digits(200, templates), batch_size=100)
    model = Classifier()
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        loss = train(model, training, optimizer)
        scheduler.step()
        print(f"epoch {epoch}  loss {loss:.3f}  accuracy {accuracy(model, validation):.3f}")


if __name__ == "__main__":
    main()
