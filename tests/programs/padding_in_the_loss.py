"""SL517 padding-in-the-loss. `# SL517` marks the lines at which the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn

PAD = 0


class Language(nn.Module):
    def __init__(self, padding=PAD, words=12):
        super().__init__()
        self.table = nn.Embedding(12, 8, padding_idx=padding)
        self.rnn = nn.GRU(8, 8, batch_first=True)
        self.out = nn.Linear(8, words)

    def forward(self, tokens):
        return self.out(self.rnn(self.table(tokens))[0])


def sentences(least=2):
    tokens = torch.zeros(8, 10, dtype=torch.long)
    for row, length in zip(tokens, torch.randint(least, 9, (8,)).tolist(), strict=True):
        row[:length] = torch.randint(1, 12, (length,))
    return tokens


def train(model, loss_of, make=sentences):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        tokens = make()
        loss = loss_of(model(tokens[:, :-1]), tokens[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_padding_counted():
    model = Language()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        tokens = sentences()
        out = model(tokens[:, :-1])
        loss = F.cross_entropy(out.flatten(0, 1), tokens[:, 1:].flatten())  # SL517
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_padding_counted_with_the_classes_second():
    model = Language()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        tokens = sentences()
        loss = F.cross_entropy(model(tokens[:, :-1]).mT, tokens[:, 1:])  # SL517
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def good_padding_ignored():
    train(Language(), lambda out, y: F.cross_entropy(out.mT, y, ignore_index=PAD))


def fine_masked_by_hand():
    def loss_of(out, y):
        each = F.cross_entropy(out.mT, y, reduction="none")
        return (each * (y != PAD)).sum() / (y != PAD).sum()

    train(Language(), loss_of)


def fine_no_weight_for_padding():
    weight = torch.ones(12)
    weight[PAD] = 0
    train(Language(), lambda out, y: F.cross_entropy(out.mT, y, weight=weight))


def fine_no_token_is_padding():
    train(Language(padding=None), lambda out, y: F.cross_entropy(out.mT, y))


def fine_labels_of_another_kind():
    train(Language(words=5), lambda out, y: F.cross_entropy(out.mT, y % 5))


def fine_padding_token_within():
    def mixed():
        tokens = sentences()
        tokens[:, 1] = PAD
        return tokens

    train(Language(), lambda out, y: F.cross_entropy(out.mT, y), mixed)
