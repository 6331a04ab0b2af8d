"""CLIP-like: two towers, a learned temperature, cross-entropy of the [N, N] similarity in both
directions, the temperature clamped after each step."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class TwoTowers(nn.Module):
    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 8))
        self.text = nn.Sequential(nn.Linear(6, 24), nn.GELU(), nn.Linear(24, 8))
        self.logit_scale = nn.Parameter(torch.ones([]) * math.log(1 / 0.07))

    def forward(self, image, text):
        i, t = F.normalize(self.image(image), dim=-1), F.normalize(self.text(text), dim=-1)
        logits = self.logit_scale.exp() * i @ t.t()
        return logits, logits.t()


torch.manual_seed(45)
latent = torch.randn(256, 4)
images, texts = latent @ torch.randn(4, 12), latent @ torch.randn(4, 6)
model = TwoTowers()
decay = [p for p in model.parameters() if p.ndim >= 2]
rest = [p for p in model.parameters() if p.ndim < 2]
opt = torch.optim.AdamW(
    [{"params": decay, "weight_decay": 0.2}, {"params": rest, "weight_decay": 0.0}], lr=2e-3
)
for epoch in range(5):
    for i in torch.randperm(256).split(32):
        per_image, per_text = model(images[i], texts[i])
        target = torch.arange(len(i))
        loss = (F.cross_entropy(per_image, target) + F.cross_entropy(per_text, target)) / 2
        opt.zero_grad(set_to_none=True)
        loss.backward()
        opt.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
    print(epoch, loss.item(), model.logit_scale.exp().item())
print(fingerprint(model))
