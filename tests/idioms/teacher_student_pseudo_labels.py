"""FixMatch-like pseudo-labels: the same network in train mode makes labels from weakly augmented
inputs (detached), with dropout-free layers; a mask that is often all zero at first."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(79)
model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3))
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: max(0.0, 1 - s / 80))
labelled = torch.randn(48, 8)
y = labelled[:, :3].argmax(1)
unlabelled = torch.randn(480, 8)
model.train()
for step in range(60):
    i, j = torch.randint(0, 48, (16,)), torch.randint(0, 480, (48,))
    weak = unlabelled[j] + 0.05 * torch.randn(48, 8)
    strong = unlabelled[j] * (torch.rand(48, 8) > 0.3)
    logits = model(torch.cat([labelled[i], weak, strong]))
    supervised, (w, s) = logits[:16], logits[16:].chunk(2)
    Lx = F.cross_entropy(supervised, y[i])
    pseudo = torch.softmax(w.detach(), dim=-1)
    top, targets = pseudo.max(dim=-1)
    mask = top.ge(0.9).float()
    Lu = (F.cross_entropy(s, targets, reduction="none") * mask).mean()
    loss = Lx + Lu
    opt.zero_grad()
    loss.backward()
    opt.step()
    scheduler.step()
    if step % 20 == 0:
        print(step, Lx.item(), Lu.item(), mask.mean().item())
print(fingerprint(model))
