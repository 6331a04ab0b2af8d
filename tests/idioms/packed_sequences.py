"""Sentiment-like classifier over packed sequences: sorted lengths, last hidden states, a learned
initial state, pretrained embeddings kept frozen."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset
from weights import fingerprint


class Texts(Dataset):
    def __init__(self, n):
        g = torch.Generator().manual_seed(5)
        self.items = []
        for _ in range(n):
            t = torch.randint(1, 20, (int(torch.randint(3, 11, (1,), generator=g)),), generator=g)
            self.items.append((t, float((t > 12).sum() > (t < 8).sum())))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def collate(batch):
    batch.sort(key=lambda pair: len(pair[0]), reverse=True)
    lengths = torch.tensor([len(t) for t, _ in batch])
    return pad_sequence([t for t, _ in batch]), lengths, torch.tensor([y for _, y in batch])


class Classifier(nn.Module):
    def __init__(self, vectors):
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=True, padding_idx=0)
        self.rnn = nn.LSTM(vectors.size(1), 16, bidirectional=True)
        self.h0 = nn.Parameter(torch.zeros(2, 1, 16))
        self.attend = nn.Linear(32, 1)
        self.fc = nn.Linear(64, 1)

    def forward(self, text, lengths):
        packed = pack_padded_sequence(self.embedding(text), lengths)
        h0 = self.h0.expand(-1, len(lengths), -1).contiguous()
        out, (hidden, _) = self.rnn(packed, (h0, torch.zeros_like(h0)))
        out, _ = pad_packed_sequence(out)
        scores = self.attend(out).squeeze(-1)
        scores = scores.masked_fill(text == 0, float("-inf"))
        pooled = (torch.softmax(scores, dim=0).unsqueeze(-1) * out).sum(0)
        return self.fc(torch.cat([hidden[0], hidden[1], pooled], 1)).squeeze(1)


torch.manual_seed(70)
loader = DataLoader(Texts(160), batch_size=20, shuffle=True, collate_fn=collate, drop_last=True)
model = Classifier(torch.randn(20, 10))
optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=5e-3)
for epoch in range(4):
    hits = 0
    for text, lengths, y in loader:
        optimizer.zero_grad()
        logits = model(text, lengths)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, y)
        loss.backward()
        optimizer.step()
        hits += ((logits > 0) == (y > 0.5)).sum().item()
    print(epoch, loss.item(), hits / 160)
print(fingerprint(model))
