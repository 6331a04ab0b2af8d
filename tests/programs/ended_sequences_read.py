"""SL520 ended-sequences-read. `# SL520` marks where the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

LENGTHS = torch.tensor([6, 4, 2, 5])
SORTED = torch.tensor([6, 5, 4, 2])
ALIKE = torch.tensor([6, 6, 6, 6])


class Tagger(nn.Module):
    def __init__(self, read, lengths=LENGTHS, first=True, kind=nn.LSTM, bidirectional=False):
        super().__init__()
        self.network = kind(3, 5, batch_first=first, bidirectional=bidirectional)
        self.head = nn.Linear(10 if bidirectional else 5, 1)
        self.read, self.lengths, self.first = read, lengths, first

    def forward(self, x):
        ordered = bool((self.lengths[1:] <= self.lengths[:-1]).all())
        packed = pack_padded_sequence(x, self.lengths, self.first, enforce_sorted=ordered)
        packed, hidden = self.network(packed)
        out, lengths = pad_packed_sequence(packed, batch_first=self.first)
        return self.head(self.read(out, lengths, hidden))


def train(read, **settings):
    model = Tagger(read, **settings)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(4):
        x = torch.randn(4, 6, 3)
        optimizer.zero_grad()
        given = x if model.first else x.transpose(0, 1)
        F.mse_loss(model(given), x.mean((1, 2))[:, None]).backward()
        optimizer.step()


def bad_last_step():
    def read(out, lengths, hidden):
        return out[:, -1]  # SL520

    train(read)


def bad_of_sorted_sequences():
    def read(out, lengths, hidden):
        return out[:, -1, :]  # SL520

    train(read, lengths=SORTED)


def bad_steps_first():
    def read(out, lengths, hidden):
        return out[-1]  # SL520

    train(read, first=False)


def bad_turned_before():
    def read(out, lengths, hidden):
        return out.transpose(0, 1)[-1]  # SL520

    train(read)


def bad_of_a_gru():
    def read(out, lengths, hidden):
        last = out.size(1) - 1
        return out[:, last]  # SL520

    train(read, kind=nn.GRU)


def good_last_of_each():
    def read(out, lengths, hidden):
        return out[torch.arange(len(out)), lengths - 1]

    train(read)


def good_hidden_state():
    def read(out, lengths, hidden):
        return hidden[0][-1]

    train(read)


def fine_one_length():
    def read(out, lengths, hidden):
        return out[:, -1]

    train(read, lengths=ALIKE)


def fine_step_that_all_have():
    def read(out, lengths, hidden):
        return out[:, 1]

    train(read)


def fine_first_step():
    def read(out, lengths, hidden):
        return out[:, 0]

    train(read, bidirectional=True)


def fine_steps_in_turn_with_a_mask():
    def read(out, lengths, hidden):
        total = torch.zeros_like(out[:, 0])
        for step in range(out.size(1)):
            total = total + out[:, step] * (lengths > step)[:, None]
        return total / lengths[:, None]

    train(read)


def fine_one_sequence():
    def read(out, lengths, hidden):
        return out[0].mean(0, keepdim=True).expand(4, -1)

    train(read)


def fine_mean_over_steps():
    def read(out, lengths, hidden):
        return out.sum(1) / lengths[:, None]

    train(read)
