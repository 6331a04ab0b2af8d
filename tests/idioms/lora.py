"""LoRA: a pretrained base frozen, low-rank A random and B zero, only these in the optimizer; merged
for evaluation and unmerged again."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class LoRALinear(nn.Module):
    def __init__(self, base, r=4, alpha=8):
        super().__init__()
        self.base = base
        self.base.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.empty(r, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.scaling, self.merged = alpha / r, False
        self.dropout = nn.Dropout(0.05)

    def train(self, mode=True):
        super().train(mode)
        delta = self.lora_B.data @ self.lora_A.data * self.scaling
        if mode and self.merged:
            self.base.weight.data -= delta
            self.merged = False
        elif not mode and not self.merged:
            self.base.weight.data += delta
            self.merged = True
        return self

    def forward(self, x):
        out = self.base(x)
        if not self.merged:
            out = out + F.linear(F.linear(self.dropout(x), self.lora_A), self.lora_B) * self.scaling
        return out


def fit(model, x, y, epochs, lr):
    opt = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=lr)
    for epoch in range(epochs):
        model.train()
        for i in torch.randperm(len(x)).split(32):
            loss = F.cross_entropy(model(x[i]), y[i])
            opt.zero_grad()
            loss.backward()
            opt.step()
        model.eval()
        with torch.no_grad():
            print(epoch, loss.item(), (model(x).argmax(1) == y).float().mean().item())


torch.manual_seed(29)
x = torch.randn(256, 12)
model = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3))
fit(model, x, x[:, :3].argmax(1), 3, 5e-3)
for name in ("0", "2"):
    setattr(model, name, LoRALinear(getattr(model, name)))
model[4].requires_grad_(False)
fit(model, x, x[:, 3:6].argmax(1), 5, 1e-2)
print(fingerprint(model))
