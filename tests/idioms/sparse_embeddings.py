"""Word2vec with negative sampling: sparse embeddings under SparseAdam, an EmbeddingBag and dense
layers under Adam, two optimizers stepped one after the other, rows kept within a norm."""

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint


class SkipGram(nn.Module):
    def __init__(self, words=50, width=8):
        super().__init__()
        self.center = nn.Embedding(words, width, sparse=True)
        self.context = nn.Embedding(words, width, sparse=True)
        self.topics = nn.EmbeddingBag(words, width, mode="mean", sparse=True)
        self.gate = nn.Linear(width, 1)

    def forward(self, word, near, far, bag, offsets):
        c = self.center(word)
        good = F.logsigmoid((c * self.context(near)).sum(1))
        bad = F.logsigmoid(-(self.context(far) @ c.unsqueeze(2)).squeeze(2)).sum(1)
        topic = self.gate(self.topics(bag, offsets)).squeeze(1)
        target = (word % 2).float()
        return -(good + bad).mean() + F.binary_cross_entropy_with_logits(topic, target)


torch.manual_seed(47)
model = SkipGram()
sparse = [p for name, p in model.named_parameters() if not name.startswith("gate")]
optimizers = [
    torch.optim.SparseAdam(sparse, lr=1e-2),
    torch.optim.Adam(model.gate.parameters(), lr=1e-2),
]
for step in range(40):
    word = torch.randint(50, (16,))
    near = (word + 1) % 50
    far = torch.randint(50, (16, 5))
    bag = torch.stack([word, near], 1).flatten()
    loss = model(word, near, far, bag, torch.arange(0, 32, 2))
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    with torch.no_grad():
        model.center.weight.renorm_(2, 0, 3.0)
    if step % 10 == 0:
        print(step, loss.item())
print(fingerprint(model))
