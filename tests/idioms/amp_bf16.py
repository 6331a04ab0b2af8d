"""bf16 autocast without a scaler, the loss outside in float32, evaluation under both contexts."""

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset
from weights import fingerprint


class CharNet(nn.Module):
    def __init__(self, vocab=20):
        super().__init__()
        self.emb = nn.Embedding(vocab, 16, padding_idx=0)
        self.conv = nn.Conv1d(16, 32, 3, padding=1)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(32, 2)

    def forward(self, t):
        h = torch.relu(self.conv(self.emb(t).transpose(1, 2)))
        return self.fc(self.drop(h.amax(-1)))


def run(model, loader, opt=None):
    model.train(opt is not None)
    total = right = 0
    with torch.set_grad_enabled(opt is not None):
        for t, y in loader:
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(t)
            loss = nn.functional.cross_entropy(logits.float(), y)
            if opt is not None:
                opt.zero_grad()
                loss.backward()
                opt.step()
            total += loss.item() * len(y)
            right += (logits.argmax(1) == y).sum().item()
    return total / len(loader.dataset), right / len(loader.dataset)


torch.manual_seed(26)
tokens = torch.randint(1, 20, (400, 12))
labels = (tokens == 7).any(1).long()
tokens[:, 10:] = 0
data = TensorDataset(tokens, labels)
train, val = torch.utils.data.random_split(data, [320, 80])
model = CharNet()
opt = torch.optim.AdamW(model.parameters(), 2e-3)
for epoch in range(4):
    print(
        epoch, run(model, DataLoader(train, 32, shuffle=True), opt), run(model, DataLoader(val, 80))
    )
print(fingerprint(model))
