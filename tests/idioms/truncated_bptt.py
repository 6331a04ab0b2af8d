"""Language model on one long stream: the hidden state is carried on and detached at each window
(repackage_hidden), gradients clipped, plain SGD by hand as in the old example."""

import torch
import torch.nn as nn
from weights import fingerprint


class RNNModel(nn.Module):
    def __init__(self, ntoken=15, ninp=12, nhid=24, nlayers=2, dropout=0.2):
        super().__init__()
        self.ntoken, self.nhid, self.nlayers = ntoken, nhid, nlayers
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.LSTM(ninp, nhid, nlayers, dropout=dropout)
        self.decoder = nn.Linear(nhid, ntoken)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, tokens, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(tokens)), hidden)
        decoded = self.decoder(self.drop(output)).view(-1, self.ntoken)
        return nn.functional.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        return (weight.new_zeros(2, bsz, self.nhid), weight.new_zeros(2, bsz, self.nhid))


def repackage_hidden(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


torch.manual_seed(1111)
corpus = (torch.arange(1200) % 15 + (torch.rand(1200) < 0.1).long()) % 15
train_data = corpus[:1000].view(10, -1).t().contiguous()
val_data = corpus[1000:].view(4, -1).t().contiguous()
model, criterion, bptt, lr = RNNModel(), nn.NLLLoss(), 10, 2.0


def evaluate(source):
    model.eval()
    total_loss, hidden = 0.0, model.init_hidden(source.size(1))
    with torch.no_grad():
        for i in range(0, source.size(0) - 1, bptt):
            n = min(bptt, len(source) - 1 - i)
            output, hidden = model(source[i : i + n], hidden)
            total_loss += n * criterion(output, source[i + 1 : i + 1 + n].view(-1)).item()
    return total_loss / (len(source) - 1)


best_val_loss = None
for epoch in range(3):
    model.train()
    hidden = model.init_hidden(10)
    for i in range(0, train_data.size(0) - 1, bptt):
        n = min(bptt, len(train_data) - 1 - i)
        model.zero_grad()
        hidden = repackage_hidden(hidden)
        output, hidden = model(train_data[i : i + n], hidden)
        loss = criterion(output, train_data[i + 1 : i + 1 + n].view(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
    val_loss = evaluate(val_data)
    print(epoch, loss.item(), val_loss, lr)
    if not best_val_loss or val_loss < best_val_loss:
        best_val_loss = val_loss
    else:
        lr /= 4.0
print(fingerprint(model))
