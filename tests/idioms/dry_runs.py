"""Before and after the training: a dummy pass to learn a layer's output size, a summary printed
with hooks, a smoke test of loss and backward whose gradients are thrown away, FLOPs counted, a
traced export, timing in eval."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Net(nn.Module):
    def __init__(self, shape=(1, 8, 8)):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.1)
        )
        size = self.features(torch.zeros(1, *shape)).numel()
        self.head = nn.Linear(size, 3)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


torch.manual_seed(72)
x = torch.randn(128, 1, 8, 8)
y = x.mean((2, 3)).squeeze(1).gt(0).long()
model = Net()
print(model(torch.randn(2, 1, 8, 8)).shape)
shapes, handles = [], []
for name, module in model.named_modules():
    handles.append(
        module.register_forward_hook(
            lambda m, args, out, name=name: shapes.append((name, tuple(out.shape)))
        )
    )
model(x[:2])
for handle in handles:
    handle.remove()
print(shapes)
F.cross_entropy(model(x[:4]), y[:4]).backward()
print(all(p.grad is not None for p in model.parameters()))
model.zero_grad()

optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(3):
    model.train()
    for xb, yb in zip(x.split(16), y.split(16), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(model(xb), yb).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print(epoch, F.cross_entropy(model(x), y).item())

model.eval()
traced = torch.jit.trace(model, x[:1])
print(torch.equal(traced(x[:3]), model(x[:3])))
with torch.inference_mode():
    for _ in range(5):
        model(x[:1])
exported = torch.export.export(model, (x[:1],))
print(len(list(exported.graph.nodes)) > 3)
print(fingerprint(model))
