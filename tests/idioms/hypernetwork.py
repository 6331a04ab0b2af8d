"""A hypernetwork writes the weights of another: the target network's layers are called with
computed tensors (functional_call and F.linear), its own parameters on the meta device."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from weights import fingerprint


class Hyper(nn.Module):
    def __init__(self, target):
        super().__init__()
        self.shapes = {name: p.shape for name, p in target.named_parameters()}
        self.tasks = nn.Embedding(4, 8)
        self.body = nn.Sequential(nn.Linear(8, 32), nn.ReLU())
        size = sum(shape.numel() for shape in self.shapes.values())
        self.out = nn.Linear(32, size)
        self.scale = nn.Linear(32, 2)

    def forward(self, task):
        h = self.body(self.tasks(task))
        flat, made, start = self.out(h), {}, 0
        for name, shape in self.shapes.items():
            made[name] = 0.3 * flat[start : start + shape.numel()].view(shape)
            start += shape.numel()
        return made, self.scale(h)


torch.manual_seed(50)
target = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)).to("meta")
model = Hyper(target)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
mixing = torch.randn(4, 3, 2)
for step in range(60):
    task = torch.tensor(step % 4)
    x = torch.randn(32, 3)
    weights, scale = model(task)
    y = functional_call(target, weights, (x,)) * F.softplus(scale)
    loss = F.mse_loss(y, x @ mixing[task])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(step, loss.item())
print(fingerprint(model))
