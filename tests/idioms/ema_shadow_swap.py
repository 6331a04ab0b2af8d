"""A hand-written EMA with a dict of shadows: swapped into the model for each evaluation and back
again, the optimizer's state untouched."""

import torch
import torch.nn as nn
from weights import fingerprint


class EMA:
    def __init__(self, model, decay):
        self.model, self.decay = model, decay
        self.shadow, self.backup = {}, {}

    def register(self):
        for name, param in self.model.named_parameters():
            if param.requires_grad:
                self.shadow[name] = param.data.clone()

    def update(self):
        for name, param in self.model.named_parameters():
            if param.requires_grad:
                new = (1.0 - self.decay) * param.data + self.decay * self.shadow[name]
                self.shadow[name] = new.clone()

    def apply_shadow(self):
        for name, param in self.model.named_parameters():
            if param.requires_grad:
                self.backup[name] = param.data
                param.data = self.shadow[name]

    def restore(self):
        for name, param in self.model.named_parameters():
            if param.requires_grad:
                param.data = self.backup[name]
        self.backup = {}


torch.manual_seed(20)
x = torch.randn(256, 8)
y = x.sin().sum(1, keepdim=True)
model = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Dropout(0.1), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
ema = EMA(model, 0.98)
ema.register()
for epoch in range(5):
    model.train()
    for xb, yb in zip(x[:192].split(32), y[:192].split(32), strict=True):
        optimizer.zero_grad()
        loss = (model(xb) - yb).abs().mean()
        loss.backward()
        optimizer.step()
        ema.update()
    ema.apply_shadow()
    model.eval()
    with torch.no_grad():
        val = (model(x[192:]) - y[192:]).abs().mean().item()
    ema.restore()
    print(epoch, loss.item(), val)
print(fingerprint(model))
