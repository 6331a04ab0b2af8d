"""SL512 padding-mask-inverted. `# SL512` marks where the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F

PAD = 0


def sentences(count=16, longest=9):
    lengths = torch.randint(2, longest, (count, 1))
    tokens = torch.randint(1, 30, (count, longest))
    return tokens.masked_fill(torch.arange(longest) >= lengths, PAD), lengths


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 16, padding_idx=PAD)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(16, 2)

    def forward(self, tokens, mask):
        return self.out(self.encoder(self.embed(tokens), src_key_padding_mask=~mask).mean(1))


def train(model, batches):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for tokens, mask in batches:
        optimizer.zero_grad()
        labels = torch.arange(len(tokens)) % 2
        nn.functional.cross_entropy(model(tokens, mask), labels).backward()
        optimizer.step()


def parts(features=0):
    embed = nn.Linear(features, 16) if features else nn.Embedding(30, 16)
    model = nn.ModuleList([embed, nn.MultiheadAttention(16, 2, batch_first=True), nn.Linear(16, 2)])
    return model, torch.optim.Adam(model.parameters(), lr=1e-3)


def learn(optimizer, logits):
    optimizer.zero_grad()
    nn.functional.cross_entropy(logits, torch.arange(len(logits)) % 2).backward()
    optimizer.step()


def batches(lengths_known):
    for _ in range(4):
        tokens, lengths = sentences()
        valid = torch.arange(tokens.shape[1]) < lengths if lengths_known else tokens != PAD
        yield tokens, valid


def bad_true_where_a_token_is():
    model = nn.ModuleDict({"embed": nn.Embedding(30, 16), "out": nn.Linear(16, 2)})
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model["encoder"] = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(4):
        tokens, _ = sentences()
        h = model["encoder"](model["embed"](tokens), src_key_padding_mask=tokens.ne(PAD))  # SL512
        optimizer.zero_grad()
        nn.functional.cross_entropy(model["out"](h.mean(1)), tokens[:, 0] % 2).backward()
        optimizer.step()


def bad_handed_on_as_it_pools():
    (embed, attention, out), optimizer = parts()
    for tokens, valid in batches(lengths_known=False):
        h = embed(tokens)
        h = attention(h, h, h, key_padding_mask=valid)[0]  # SL512
        learn(optimizer, out((h * valid.unsqueeze(-1)).sum(1) / valid.sum(1, keepdim=True)))


def bad_rows_of_zeros():
    (embed, attention, out), optimizer = parts(features=3)
    for tokens, valid in batches(lengths_known=True):
        h = embed(torch.randn(*tokens.shape, 3) * valid.unsqueeze(-1))
        h = attention(h, h, h, key_padding_mask=valid)[0]  # SL512
        learn(optimizer, out((h * valid.unsqueeze(-1)).sum(1)))


def good_true_where_padding_is():
    train(Reader(), batches(lengths_known=False))


def good_of_lengths():
    train(Reader(), batches(lengths_known=True))


def good_padding_on_the_left():
    def reversed_batches():
        for tokens, valid in batches(lengths_known=True):
            yield tokens.flip(1), valid.flip(1)

    train(Reader(), reversed_batches())


def fine_nothing_but_a_class_token():
    def summaries():
        for tokens, _ in batches(lengths_known=True):
            tokens[:, 0] = 29
            yield tokens, torch.arange(tokens.shape[1]).expand_as(tokens) == 0

    train(Reader(), summaries())


def fine_separators_alone():
    def separated():
        for _ in range(4):
            tokens = torch.randint(2, 30, (16, 9)).masked_fill(torch.rand(16, 9) < 0.4, 1)
            tokens[:, 4] = 1
            yield tokens, tokens == 1

    train(Reader(), separated())


class Causal(nn.Module):
    def __init__(self, attend):
        super().__init__()
        self.embed, self.out = nn.Embedding(30, 8), nn.Linear(8, 30)
        self.attend = attend

    def forward(self, tokens):
        x = self.embed(tokens)
        return self.out(x + self.attend(x))


def predict(attend):
    model = Causal(attend)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(3):
        tokens = torch.randint(0, 30, (8, 10))
        optimizer.zero_grad()
        F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()


def bad_triangle_of_ones():
    mask = torch.tril(torch.ones(9, 9))

    def attend(x):
        return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)  # SL512

    predict(attend)


def bad_triangle_of_ones_for_a_layer():
    layer = nn.MultiheadAttention(8, 2, batch_first=True).requires_grad_(False)
    mask = torch.triu(torch.ones(9, 9), diagonal=1)

    def attend(x):
        return layer(x, x, x, attn_mask=mask)[0]  # SL512

    predict(attend)


def good_triangle_of_booleans():
    mask = torch.tril(torch.ones(9, 9)).bool()
    predict(lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=mask))


def fine_numbers_that_hide_or_weigh():
    hide = torch.zeros(9, 9).masked_fill(torch.ones(9, 9).triu(1).bool(), float("-inf"))
    near = -(torch.arange(9) - torch.arange(9)[:, None]).abs().float()
    layer = nn.MultiheadAttention(8, 2, batch_first=True).requires_grad_(False)
    predict(lambda x: F.scaled_dot_product_attention(x, x, x, hide + near))
    predict(lambda x: F.scaled_dot_product_attention(x, x, x, torch.zeros(9, 9)))
    predict(lambda x: layer(x, x, x, attn_mask=hide)[0])
