"""Seq2seq in one model: teacher forcing by chance inside forward, padding ignored, attention; beam
search in evaluation with the model fed its own words, many small forwards without grad."""

import random

import torch
import torch.nn.functional as F
from torch import nn
from weights import fingerprint

PAD, SOS, EOS, WORDS = 0, 1, 2, 12


class Seq2Seq(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.embed = nn.Embedding(WORDS, width, padding_idx=PAD)
        self.encoder = nn.GRU(width, width, batch_first=True)
        self.cell = nn.GRUCell(2 * width, width)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(width, WORDS)

    def encode(self, source):
        states, last = self.encoder(self.drop(self.embed(source)))
        return states, last[0]

    def decode(self, word, h, states):
        score = (states @ h.unsqueeze(2)).squeeze(2)
        context = (F.softmax(score, 1).unsqueeze(1) @ states).squeeze(1)
        h = self.cell(torch.cat([self.drop(self.embed(word)), context], 1), h)
        return self.out(h), h

    def forward(self, source, target, forcing=0.5):
        states, h = self.encode(source)
        word, outputs = target[:, 0], []
        for t in range(1, target.shape[1]):
            logits, h = self.decode(word, h, states)
            outputs.append(logits)
            word = target[:, t] if random.random() < forcing else logits.argmax(1)
        return torch.stack(outputs, 1)

    @torch.no_grad()
    def beam(self, source, width=3, limit=8):
        states, h = self.encode(source)
        beams = [(0.0, [SOS], h)]
        for _ in range(limit):
            grown = []
            for score, words, at in beams:
                if words[-1] == EOS:
                    grown.append((score, words, at))
                    continue
                logits, new = self.decode(torch.tensor([words[-1]]), at, states)
                best = F.log_softmax(logits[0], 0).topk(width)
                for value, word in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                    grown.append((score + value, [*words, word], new))
            beams = sorted(grown, key=lambda beam: -beam[0] / len(beam[1]))[:width]
        return beams[0][1]


def batch(size=16):
    rows = []
    for _ in range(size):
        row = [random.randint(3, WORDS - 1) for _ in range(random.randint(2, 6))]
        rows.append(torch.tensor([SOS, *row, EOS]))
    padded = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
    return padded, padded


random.seed(55)
torch.manual_seed(55)
model = Seq2Seq()
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
criterion = nn.CrossEntropyLoss(ignore_index=PAD)
for epoch in range(3):
    model.train()
    for _ in range(10):
        source, target = batch()
        optimizer.zero_grad()
        out = model(source, target)
        loss = criterion(out.reshape(-1, WORDS), target[:, 1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()
    print(epoch, loss.item(), model.beam(batch(1)[0]))
print(fingerprint(model))
