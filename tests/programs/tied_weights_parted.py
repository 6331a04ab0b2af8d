"""SL309 tied-weights-parted. `# SL309` marks the lines at which the finding must point."""

import copy

import torch
from torch import nn


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(6, 4)
        self.head = nn.Linear(4, 6, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(self.embed(tokens))


def learn(model, steps=4):
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(steps):
        tokens = torch.randint(0, 6, (8, 5))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()
        optimizer.step()


def bad_initialised_with_a_new_parameter():
    model = Words()
    model.embed.weight = nn.Parameter(0.1 * torch.randn(6, 4))  # SL309
    learn(model)


def bad_head_parted():
    model = copy.deepcopy(Words())
    learn(model)
    model.head.weight = nn.Parameter(torch.zeros(6, 4))  # SL309
    learn(model)


def bad_both_layers_grown_and_not_tied_again():
    model = Words()
    model.embed = nn.Embedding(8, 4)  # SL309
    model.head = nn.Linear(4, 8, bias=False)
    learn(model)


def bad_a_parameter_made_of_a_parameter():
    model = Words()
    model.head.weight = nn.Parameter(model.embed.weight)  # SL309
    learn(model)


def made_without_memory():
    with torch.device("meta"):
        return Words()


def initialised(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    return model


def bad_memory_given_after_tying():
    model = made_without_memory()
    model.to_empty(device="cpu")  # SL309
    learn(initialised(model))


def fine_memory_given_and_tied_again():
    model = made_without_memory()
    model.to_empty(device="cpu")
    model.head.weight = model.embed.weight
    learn(initialised(model))


def fine_memory_given_and_state_assigned():
    model = made_without_memory()
    state = Words().state_dict()
    model.load_state_dict(state, assign=True)
    model.head.weight = model.embed.weight
    learn(model)


def fine_memory_given_to_what_is_not_tied():
    with torch.device("meta"):
        model = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 6))
    learn(initialised(model.to_empty(device="cpu")))


def good_initialised_in_place():
    model = Words()
    nn.init.normal_(model.embed.weight, std=0.1)
    learn(model)


def fine_tied_again():
    model = Words()
    model.embed.weight = nn.Parameter(0.1 * torch.randn(6, 4))
    model.head.weight = model.embed.weight
    learn(model)


def fine_untied_on_purpose():
    model = Words()
    model.head.weight = nn.Parameter(model.embed.weight.detach().clone())
    learn(model)


def fine_new_head():
    model = Words()
    model.head = nn.Linear(4, 6)
    learn(model)


def fine_never_tied():
    model = Words()
    model.head = nn.Linear(4, 6, bias=False)
    model.head.weight = nn.Parameter(torch.randn(6, 4))
    learn(model)


def fine_frozen_after_parting():
    model = Words()
    model.embed.weight = nn.Parameter(torch.randn(6, 4), requires_grad=False)
    learn(model)


def fine_tied_copy():
    learn(copy.deepcopy(Words()))


def fine_layers_grown_and_tied_again():
    model = Words()
    model.embed = nn.Embedding(8, 4)
    model.head = nn.Linear(4, 8, bias=False)
    model.head.weight = model.embed.weight
    learn(model)


def parted():
    model = Words()
    model.head = nn.Linear(4, 6, bias=False)
    return model


def bad_tied_through_data():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(6, 4)
            self.head = nn.Linear(4, 6, bias=False)
            self.head.weight.data = self.embed.weight.data  # SL309

        def forward(self, x):
            return self.head(self.embed(x))

    learn(Tied())


def bad_tied_through_data_by_a_helper():
    def tie(one, other):
        one.weight.data = other.weight  # SL309

    other = nn.Linear(2, 2)
    other.weight.data = torch.zeros(2, 2)
    model = parted()
    tie(model.head, model.embed)
    learn(model)


def bad_tied_as_another_parameter_beside_a_helper():
    def follow(target, source):
        for mine, theirs in zip(target.parameters(), source.parameters(), strict=True):
            mine.data = theirs.data

    model = parted()
    follow(nn.Linear(2, 2), nn.Linear(2, 2))
    model.head.weight = nn.Parameter(model.embed.weight)  # SL309
    learn(model)


def fine_views_of_one_flat_memory():
    flat = torch.randn(24)
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 4, bias=False))
    model[0].weight.data = flat[:12].view(3, 4)
    model[1].weight.data = flat[12:].view(4, 3)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()


class Apart(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(6, 4)
        self.out = nn.Linear(4, 6, bias=False)

    def forward(self, tokens):
        return self.out(self.table(tokens))


def bad_tied_by_a_copy():
    class Copied(Apart):
        def __init__(self):
            super().__init__()
            self.tie_weights()

        def tie_weights(self):
            self.out.weight.data = self.table.weight.data.clone()  # SL309

    learn(Copied())


def bad_parameter_of_a_clone():
    class Cloned(Apart):
        def __init__(self):
            super().__init__()
            self.out.weight = nn.Parameter(self.table.weight.clone())  # a note: SL309

    learn(Cloned())


def fine_table_that_begins_elsewhere():
    class Started(Apart):
        def start(self):
            self.table.weight.data.copy_(0.5 * self.out.weight)

    model = Started()
    model.start()
    learn(model)


def fine_table_and_head_from_one_file():
    model, saved = Apart(), torch.randn(6, 4)
    model.table.weight.data.copy_(saved)
    model.out.weight.data.copy_(saved)
    learn(model)


def rebuild(model, steps=4):
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()


class Narrowing(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(4, 3)
        self.decoder = nn.Linear(3, 4)

    def forward(self, x):
        return self.decoder(torch.tanh(self.encoder(x))) - x


def bad_transpose_copied_in_a_class_that_says_tied():
    class TiedAutoencoder(Narrowing):
        def __init__(self):
            super().__init__()
            self.decoder.weight = nn.Parameter(self.encoder.weight.t().contiguous())  # SL309

    rebuild(TiedAutoencoder())


def bad_transpose_copied_in_a_method_that_says_tied():
    class Autoencoder(Narrowing):
        def __init__(self):
            super().__init__()
            self.tie()

        def tie(self):
            self.decoder.weight.data.copy_(self.encoder.weight.data.t())  # SL309

    rebuild(Autoencoder())


def fine_rolled_out_after_its_layers_were_trained():
    class Autoencoder(Narrowing):
        def __init__(self):
            super().__init__()
            self.decoder.weight.data.copy_(self.encoder.weight.data.t())

    rebuild(Autoencoder())


def fine_one_matrix_used_twice():
    class TiedAutoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Linear(4, 3)
            self.bias = nn.Parameter(torch.zeros(4))

        def forward(self, x):
            h = torch.tanh(self.encoder(x))
            return nn.functional.linear(h, self.encoder.weight.t(), self.bias) - x

    rebuild(TiedAutoencoder())
