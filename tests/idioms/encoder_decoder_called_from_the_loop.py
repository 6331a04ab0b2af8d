"""Seq2seq as in the tutorial: encoder and decoder are modules of their own, called step by step
from the loop, an optimizer each, teacher forcing by chance, detached inputs otherwise."""

import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from weights import fingerprint

SOS, EOS, V, H = 0, 1, 10, 20


class EncoderRNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.gru = nn.Embedding(V, H), nn.GRU(H, H)

    def forward(self, token, hidden):
        return self.gru(self.embedding(token).view(1, 1, -1), hidden)


class AttnDecoderRNN(nn.Module):
    def __init__(self, max_length=8):
        super().__init__()
        self.embedding, self.dropout = nn.Embedding(V, H), nn.Dropout(0.1)
        self.attn, self.combine = nn.Linear(2 * H, max_length), nn.Linear(2 * H, H)
        self.gru, self.out = nn.GRU(H, H), nn.Linear(H, V)

    def forward(self, token, hidden, encoder_outputs):
        embedded = self.dropout(self.embedding(token).view(1, 1, -1))
        weights = F.softmax(self.attn(torch.cat((embedded[0], hidden[0]), 1)), dim=1)
        applied = torch.bmm(weights.unsqueeze(0), encoder_outputs.unsqueeze(0))
        output = F.relu(self.combine(torch.cat((embedded[0], applied[0]), 1)).unsqueeze(0))
        output, hidden = self.gru(output, hidden)
        return F.log_softmax(self.out(output[0]), dim=1), hidden


def train(source, target, encoder, decoder, enc_opt, dec_opt, criterion):
    enc_opt.zero_grad()
    dec_opt.zero_grad()
    loss = 0
    hidden = torch.zeros(1, 1, H)
    encoder_outputs = torch.zeros(8, H)
    for i, token in enumerate(source):
        output, hidden = encoder(token, hidden)
        encoder_outputs[i] = output[0, 0]
    token = torch.tensor([[SOS]])
    forcing = random.random() < 0.5
    for wanted in target:
        output, hidden = decoder(token, hidden, encoder_outputs)
        loss += criterion(output, wanted.view(1))
        if forcing:
            token = wanted
        else:
            token = output.topk(1)[1].squeeze().detach()
            if token.item() == EOS:
                break
    loss.backward()
    enc_opt.step()
    dec_opt.step()
    return loss.item() / len(target)


random.seed(76)
torch.manual_seed(76)
encoder, decoder = EncoderRNN(), AttnDecoderRNN()
enc_opt, dec_opt = (
    optim.SGD(encoder.parameters(), lr=0.05),
    optim.SGD(decoder.parameters(), lr=0.05),
)
criterion = nn.NLLLoss()
total = 0.0
for it in range(1, 31):
    source = torch.randint(2, V, (random.randint(2, 6),))
    target = torch.cat([source.flip(0), torch.tensor([EOS])])
    total += train(source, target, encoder, decoder, enc_opt, dec_opt, criterion)
    if it % 10 == 0:
        print(it, total / 10)
        total = 0.0
print(fingerprint(encoder, decoder))
