"""R-Drop and JSD: two passes of the same batch with dropout on, a symmetric KL between log-softmax
outputs (log_target), cross-entropy on the plain logits."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(41)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 5))
opt = torch.optim.AdamW(model.parameters(), 3e-3)
x = torch.randn(250, 8)
y = x[:, :5].argmax(1)
for epoch in range(4):
    for i in torch.randperm(250).split(50):
        p, q = model(torch.cat([x[i], x[i]])).chunk(2)
        ce = 0.5 * (F.cross_entropy(p, y[i]) + F.cross_entropy(q, y[i]))
        lp, lq = F.log_softmax(p, -1), F.log_softmax(q, -1)
        kl = F.kl_div(lp, lq, log_target=True, reduction="none").sum(-1)
        kl = kl + F.kl_div(lq, lp, log_target=True, reduction="none").sum(-1)
        loss = ce + 0.5 * kl.mean()
        loss.backward()
        opt.step()
        opt.zero_grad()
    print(epoch, loss.item(), ce.item())
print(fingerprint(model))
