"""Fine-tuning with batch norms held in eval inside train(), once with their affine parameters
trained and once frozen; the backbone is pretrained in the same script."""

import torch
from torch import nn
from weights import fingerprint


class Backbone(nn.Module):
    def __init__(self, frozen_norms=False):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 2)
        self.frozen_norms = frozen_norms

    def train(self, mode=True):
        super().train(mode)
        if self.frozen_norms:
            for m in self.modules():
                if isinstance(m, nn.BatchNorm2d):
                    m.eval()
        return self

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


def fit(model, x, y, lr, epochs):
    opt = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr, momentum=0.9)
    for epoch in range(epochs):
        model.train()
        for i in torch.randperm(len(x)).split(20):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x[i]), y[i])
            loss.backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            print(epoch, loss.item(), (model(x).argmax(1) == y).float().mean().item())


torch.manual_seed(71)
x = torch.randn(120, 1, 6, 6)
model = Backbone()
fit(model, x, (x.mean((1, 2, 3)) > 0).long(), 0.1, 2)
model.frozen_norms = True
fit(model, x, (x.std((1, 2, 3)) > 1).long(), 0.02, 3)
for m in model.modules():
    if isinstance(m, nn.BatchNorm2d):
        m.requires_grad_(False)
fit(model, x, (x[:, 0, 0, 0] > 0).long(), 0.02, 2)
print(fingerprint(model))
