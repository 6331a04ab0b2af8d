"""Accumulation over sequences of different lengths: losses summed over tokens, and the gradients
divided by the number of tokens just before the step."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

torch.manual_seed(56)
embed, head = nn.Embedding(12, 16), nn.Linear(16, 12)
rnn = nn.GRU(16, 16, batch_first=True)
params = [*embed.parameters(), *rnn.parameters(), *head.parameters()]
opt = torch.optim.Adam(params, lr=5e-3)
texts = [(torch.arange(n) * 3 + s) % 12 for n in (5, 9, 14, 7) for s in range(6)]

for epoch in range(4):
    order = torch.randperm(len(texts)).tolist()
    for start in range(0, len(order), 6):
        opt.zero_grad()
        tokens, total = 0, 0.0
        for k in order[start : start + 6]:
            t = texts[k][None]
            hidden, _ = rnn(embed(t[:, :-1]))
            loss = F.cross_entropy(head(hidden).transpose(1, 2), t[:, 1:], reduction="sum")
            loss.backward()
            tokens += t.numel() - 1
            total += loss.item()
        for p in params:
            p.grad /= tokens
        opt.step()
    print(epoch, total / tokens)
print(fingerprint(embed, rnn, head))
