"""DeepDream: after training, an input is moved uphill by its own gradient, with a hook that
captures a layer, a normalised step through .data, grad zeroed by hand; and an adversarial patch
under Adam."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(54)
x = torch.randn(128, 1, 8, 8)
y = (x.mean((1, 2, 3)) > 0).long()
model = nn.Sequential(
    nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(384, 2)
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _ in range(3):
    for xb, yb in zip(x.split(32), y.split(32), strict=True):
        optimizer.zero_grad()
        F.cross_entropy(model(xb), yb).backward()
        optimizer.step()

model.eval()
kept = {}
handle = model[2].register_forward_hook(lambda module, args, out: kept.update(out=out))
image = x[:1].clone().requires_grad_(True)
for step in range(10):
    model(image)
    loss = kept["out"].norm()
    loss.backward()
    image.data += 0.1 * image.grad / (image.grad.abs().mean() + 1e-8)
    image.grad.data.zero_()
    if step % 5 == 0:
        print(step, loss.item())
handle.remove()

patch = torch.zeros(1, 1, 3, 3, requires_grad=True)
attack = torch.optim.Adam([patch], lr=0.1)
for step in range(10):
    patched = x[:16].clone()
    patched[:, :, :3, :3] = torch.tanh(patch)
    loss = -F.cross_entropy(model(patched), y[:16])
    attack.zero_grad()
    loss.backward()
    attack.step()
    if step % 5 == 0:
        print(step, loss.item())
print(fingerprint(model, image, patch))
