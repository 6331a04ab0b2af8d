"""Sets: attention pooling whose softmax runs over the elements of a set (its first dimension), deep
sets that sum, one bag at a time in multiple-instance learning."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
        self.score = nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 1))
        self.rho = nn.Linear(32, 1)

    def forward(self, bag):  # [elements, 6] -> [1]
        h = self.embed(bag)
        weight = F.softmax(self.score(h), dim=0)
        return self.rho(torch.cat([(weight * h).sum(0), h.sum(0)])), weight


torch.manual_seed(46)
bags = [torch.randn(torch.randint(3, 9, ()).item(), 6) for _ in range(64)]
labels = torch.tensor([float(bag[:, 0].max() > 1) for bag in bags])
model = Pooled()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-4)
for epoch in range(3):
    model.train()
    total = 0.0
    for bag, label in zip(bags, labels, strict=True):
        optimizer.zero_grad()
        logit, _ = model(bag)
        loss = F.binary_cross_entropy_with_logits(logit, label.view(1))
        loss.backward()
        optimizer.step()
        total += loss.item()
    print(epoch, total / len(bags))
model.eval()
with torch.no_grad():
    print([round(model(bag)[1].max().item(), 4) for bag in bags[:4]])
print(fingerprint(model))
