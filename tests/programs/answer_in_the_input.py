"""SL514 answer-in-the-input. `# SL514` marks where the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F

LATER = torch.ones(10, 10).triu(1).bool()


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(20, 16), nn.Embedding(12, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.out = nn.Linear(16, 20)

    def embedded(self, ids):
        return self.tokens(ids) + self.places(torch.arange(ids.shape[1]))


def train(model, call, labels_of):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(4):
        text = torch.randint(0, 20, (6, 11))
        optimizer.zero_grad()
        logits = call(model, text)
        F.cross_entropy(logits.flatten(0, 1), labels_of(text).flatten()).backward()
        optimizer.step()


def following(model, text):
    return model(text[:, :-1])


def after(text):
    return text[:, 1:]


def bad_encoder_without_a_mask():
    class Model(Embedded):
        def forward(self, ids):
            h = self.encoder(self.embedded(ids))  # SL514
            return self.out(h)

    train(Model(), following, after)


def bad_mask_one_off():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.keys = nn.Embedding(20, 16), nn.Linear(16, 16)
            self.out = nn.Linear(16, 20)

        def forward(self, ids):
            h, steps = self.tokens(ids), ids.shape[1]
            scores = self.keys(h) @ h.transpose(1, 2)  # SL514
            scores = scores.masked_fill(torch.ones(steps, steps).triu(2).bool(), float("-inf"))
            return self.out(h + scores.softmax(-1) @ h)

    train(Model(), following, after)


def bad_labels_within_the_model():
    class Model(Embedded):
        def forward(self, ids, labels):
            logits = self.out(self.encoder(self.embedded(ids)))  # SL514
            return logits, F.cross_entropy(logits.flatten(0, 1), labels.flatten())

    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(4):
        text = torch.randint(0, 20, (6, 11))
        _, loss = model(text[:, :-1], text[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_labels_not_shifted():
    model = nn.ModuleList([nn.Embedding(20, 16), nn.LSTM(16, 16, batch_first=True)])
    model = Recurrent(model, nn.Linear(16, 20))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(4):
        text = torch.randint(0, 20, (6, 11))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(text).transpose(1, 2), text)  # SL514
        loss.backward()
        optimizer.step()


class Recurrent(nn.Module):
    def __init__(self, parts, out):
        super().__init__()
        self.parts, self.out = parts, out

    def forward(self, ids):
        return self.out(self.parts[1](self.parts[0](ids))[0])


class Masked(Embedded):
    def forward(self, ids):
        return self.out(self.encoder(self.embedded(ids), mask=LATER[: ids.shape[1]]))


def good_causal():
    train(Masked(), following, after)


def good_shifted_recurrent():
    model = nn.ModuleList([nn.Embedding(20, 16), nn.LSTM(16, 16, batch_first=True)])
    train(Recurrent(model, nn.Linear(16, 20)), following, after)


class Autoencoder(Embedded):
    """Takes a text in whole, and tells it again from one vector and the tokens so far."""

    def forward(self, ids):
        h = self.embedded(ids)
        code = self.encoder(h).mean(1, keepdim=True)
        return self.out(self.encoder(h[:, :-1] + code, mask=LATER[: ids.shape[1] - 1, :10]))


class Whole(Autoencoder):
    def forward(self, ids):
        h = self.embedded(ids)
        return self.out(self.encoder(h + self.encoder(h).mean(1, keepdim=True), mask=LATER))


def fine_autoencoder():
    train(Autoencoder(), lambda model, text: model(text), after)
    train(Whole(), following, after)


def fine_autoencoder_of_all_tokens():
    class Model(Embedded):
        def forward(self, ids):
            return self.out(self.encoder(self.embedded(ids)))

    train(Model(), lambda model, text: model(text), lambda text: text)


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(20, 16), nn.Embedding(20, 16)
        self.body = nn.Transformer(16, 2, 1, 1, 32, batch_first=True)
        self.out = nn.Linear(16, 20)

    def forward(self, source, target):
        return self.out(self.body(self.source(source), self.target(target), tgt_mask=LATER))


def fine_encoder_sees_what_the_decoder_copies():
    train(Translator(), lambda model, text: model(text, text[:, :-1]), after)
    train(Translator(), lambda model, text: model(text[:, :-1], text[:, :-1]), after)


def fine_beginning_is_taken_in_whole():
    class Model(Embedded):
        def forward(self, ids):
            steps = ids.shape[1]
            later = torch.ones(steps, steps).triu(1).bool()
            later[:, :4] = False  # the first four see each other
            return self.out(self.encoder(self.embedded(ids), mask=later))

    def labels(text):
        found = text[:, 1:].clone()
        found[:, :3] = -100
        return found

    train(Model(), following, labels)


def fine_shifted_by_the_model():
    class Model(Embedded):
        def forward(self, ids):
            ids = F.pad(ids[:, :-1], (1, 0))
            later = torch.ones(ids.shape[1], ids.shape[1]).triu(1).bool()
            return self.out(self.encoder(self.embedded(ids), mask=later))

    train(Model(), lambda model, text: model(text), lambda text: text)


def fine_masked_words():
    class Model(Embedded):
        def forward(self, ids):
            return self.out(self.encoder(self.embedded(ids)))

    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(4):
        text = torch.randint(1, 20, (6, 10))
        hidden = torch.rand(6, 10) < 0.4
        logits = model(text.masked_fill(hidden, 0))
        optimizer.zero_grad()
        labels = text.masked_fill(~hidden, -100)
        F.cross_entropy(logits.flatten(0, 1), labels.flatten()).backward()
        optimizer.step()
