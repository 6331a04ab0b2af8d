"""SL508 batch-rows-mixed. `# SL508` marks the lines at which the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def train(model, x, steps=3, shuffle=True, classes=3):
    y = torch.randint(0, classes, (len(x),))
    loader = DataLoader(TensorDataset(x, y), batch_size=6, shuffle=shuffle)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        for x, y in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()


def series():
    return torch.randn(24, 5, 4)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(4, 8)
        self.out = nn.Linear(8, 3)


def bad_view_to_swap_dimensions():
    class Net(Recurrent):
        def forward(self, x):
            batch, time, features = x.shape
            x = x.view(time, batch, features)  # SL508
            return self.out(self.rnn(x)[0][-1])

    train(Net(), series())


def bad_reshape_after_an_embedding():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(10, 4)
            self.rnn = nn.GRU(4, 8)
            self.out = nn.Linear(8, 3)

        def forward(self, x):
            words = self.embed(x)
            words = words.reshape(words.shape[1], words.shape[0], 4)  # SL508
            return self.out(self.rnn(words)[0][-1])

    train(Net(), torch.randint(0, 10, (24, 5)))


def bad_recurrent_layer_over_the_batch():
    class Net(Recurrent):
        def forward(self, x):
            out, _ = self.rnn(x)  # SL508
            return self.out(out[:, -1])

    train(Net(), series())


def bad_scores_of_a_time_first_output_cut_into_rows():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.LSTM(4, 8)
            self.score = nn.Linear(8, 1)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            states, _ = self.recurrent(x.transpose(0, 1))
            energy = torch.tanh(self.score(states.reshape(-1, 8)))
            weights = energy.reshape(-1, x.shape[1]).softmax(1)  # SL508
            return self.head((states.transpose(0, 1) * weights.unsqueeze(2)).sum(1))

    train(Model(), series())


def fine_scores_of_a_time_first_output_transposed():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = nn.LSTM(4, 8)
            self.score = nn.Linear(8, 1)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            states, _ = self.recurrent(x.transpose(0, 1))
            energy = torch.tanh(self.score(states.reshape(-1, 8)))
            weights = energy.reshape(x.shape[1], -1).t().softmax(1)
            return self.head((states.transpose(0, 1) * weights.unsqueeze(2)).sum(1))

    train(Model(), series())


def bad_attention_over_the_batch():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = nn.MultiheadAttention(4, 2)
            self.out = nn.Linear(4, 3)

        def forward(self, x):
            out, _ = self.attend(x, x, x)  # SL508
            return self.out(out.mean(1))

    train(Net(), series())


def bad_encoder_over_the_batch():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1)
            self.out = nn.Linear(4, 3)

        def forward(self, x):
            return self.out(self.encoder(x).mean(1))  # SL508

    train(Net(), series())


def bad_attention_weights_over_the_batch():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.score, self.out = nn.Linear(4, 1), nn.Linear(4, 3)

        def forward(self, x):
            weights = torch.softmax(self.score(x), dim=0)  # SL508
            return self.out((weights * x).sum(1))

    train(Net(), series())


def bad_standardised_over_the_batch():
    """A note: it may be meant."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(4, 3)

        def forward(self, x):
            return self.out((x - x.mean(0)) / 2)  # SL508

    train(Net(), torch.randn(24, 4))


def bad_view_without_a_loader():
    class Net(Recurrent):
        def forward(self, x):
            batch, time, features = x.shape
            x = x.view(time, batch, features)  # SL508
            return self.out(self.rnn(x)[0][-1])

    model, x, y = Net(), series(), torch.randint(0, 3, (24,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for chosen in torch.randperm(24).split(6):
        optimizer.zero_grad()
        F.cross_entropy(model(x[chosen]), y[chosen]).backward()
        optimizer.step()


def bad_last_states_viewed():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(4, 4, bidirectional=True, batch_first=True)
            self.out = nn.Linear(8, 3)

        def forward(self, x):
            _, last = self.rnn(x)
            return self.out(last.view(len(x), -1))  # SL508

    train(Net(), series())


def good_permute():
    class Net(Recurrent):
        def forward(self, x):
            return self.out(self.rnn(x.permute(1, 0, 2))[0][-1])

    train(Net(), series())


def fine_batch_first():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.LSTM(4, 8, 2, batch_first=True, dropout=0.1)
            self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
            self.encoder = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
            self.out = nn.Linear(8, 3)

        def forward(self, x):
            x, _ = self.rnn(x)
            return self.out(self.encoder(self.attend(x, x, x)[0])[:, -1])

    train(Net(), series())


def fine_convolutions_and_norms():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.GroupNorm(2, 4),
        nn.Dropout(0.2), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LayerNorm(16), nn.Linear(16, 3),
    )  # fmt: skip
    train(net, torch.randn(24, 1, 6, 6))


def fine_windows_reshaped_and_back():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.out = nn.Linear(4, 8), nn.Linear(8, 3)

        def forward(self, x):
            batch, time, features = x.shape
            flat = torch.relu(self.inner(x.reshape(batch * time, features)))
            return self.out(flat.reshape(batch, time, 8).mean(1))

    train(Net(), series())


def fine_heads_by_hand():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(4, 12), nn.Linear(4, 3)

        def forward(self, x):
            batch, time, size = x.shape
            parts = self.qkv(x).view(batch, time, 3, 2, size // 2).permute(2, 0, 3, 1, 4)
            q, k, v = (part.reshape(batch * 2, time, size // 2) for part in parts)
            mixed = torch.bmm(torch.softmax(q @ k.transpose(1, 2), -1), v)
            back = mixed.view(batch, 2, time, size // 2).transpose(1, 2).reshape(batch, time, size)
            return self.out(back.mean(1))

    train(Net(), series())


def fine_samples_as_one_set():
    """Attention between samples, meant: the set is put before the samples."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = nn.MultiheadAttention(4, 2, batch_first=True)
            self.out = nn.Linear(4, 3)

        def forward(self, x):
            rows = x.unsqueeze(0)
            return self.out(self.attend(rows, rows, rows)[0].squeeze(0))  # SL508

    train(Net(), torch.randn(24, 4))


def fine_drawing_in_eval_mode():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean, self.out = nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, x):
            mean = self.mean(x)
            return self.out(mean + 0.1 * torch.randn_like(mean))

    train(Net(), torch.randn(24, 4))


def fine_matrix_of_pairs():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 8), nn.Linear(4, 8)

        def forward(self, x):
            return self.one(x) @ self.two(x).t()

    train(Net(), torch.randn(24, 4), classes=6)


def fine_sequence_first_on_purpose():
    class Net(Recurrent):
        def forward(self, x):
            return self.out(self.rnn(x)[0][-1])

    model = Net()
    loader = DataLoader(TensorDataset(series(), torch.randint(0, 3, (24,))), batch_size=6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for x, y in loader:
        optimizer.zero_grad()
        F.cross_entropy(model(x.transpose(0, 1)), y).backward()
        optimizer.step()


def fine_unshuffled_series():
    """A note: rows one after the other may be a series."""

    class Net(Recurrent):
        def forward(self, x):
            return self.out(self.rnn(x)[0])  # SL508

    train(Net(), torch.randn(24, 4), shuffle=False)


def fine_frames_of_several_clips():
    """Rows are frames, cut into clips of three within the model."""

    class Net(Recurrent):
        def forward(self, x):
            clips = x.reshape(-1, 3, 4).transpose(0, 1)
            return self.out(self.rnn(clips)[0].transpose(0, 1).reshape(len(x), -1))

    model, optimizer = Net(), None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(24, 4)), torch.randint(0, 3, (24,))).backward()
        optimizer.step()


def fine_sequence_first_without_a_loader():
    class Net(Recurrent):
        def forward(self, x):
            return self.out(self.rnn(x)[0])

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        out = model(torch.randn(5, 6, 4))
        F.cross_entropy(out.reshape(30, 3), torch.randint(0, 3, (30,))).backward()
        optimizer.step()


def fine_graph_of_nodes():
    class Net(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.register_buffer("near", torch.softmax(torch.randn(n, n), 1))
            self.first, self.out = nn.Linear(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            x = torch.relu(self.near @ self.first(x.reshape(len(x), -1)))
            return self.out(self.near @ x)

    model = Net(12)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(12, 2, 4), torch.randint(0, 3, (12,))
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def fine_model_that_prints():
    class Net(Recurrent):
        def forward(self, x):
            if x.isnan().any():
                print("not a number")
            return self.out(self.rnn(x.permute(1, 0, 2))[0][-1])

    train(Net(), series())


class Counted(Recurrent):
    """Counts its forwards where a copy would count too."""

    calls = 0

    def forward(self, x):
        Counted.calls += 1
        return self.out(self.rnn(x)[0].mean(1))


def fine_model_that_counts_its_forwards():
    Counted.calls = 0
    train(Counted(), series())
    assert Counted.calls == 12


def bad_layer_that_takes_the_batch_for_its_sequence_without_a_loader():
    """A note: dimension 0 is not known to be the samples'."""

    class Net(Recurrent):
        def forward(self, x):
            return self.out(self.rnn(x)[0].mean(1))  # SL508

    model, optimizer = Net(), None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(8, 5, 4)), torch.randint(0, 3, (8,))).backward()
        optimizer.step()


def bad_in_a_later_phase():
    class Net(Recurrent):
        def forward(self, x):
            batch, time, features = x.shape
            x = x.view(time, batch, features)  # SL508
            return self.out(self.rnn(x)[0][-1])

    train(nn.Sequential(nn.Flatten(), nn.Linear(20, 3)), series())
    train(Net(), series())


def shuffled(model, x, order=None):
    y = torch.randint(0, 3, (len(x),))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for chosen in (torch.randperm(len(x)) if order is None else order).split(12):
        optimizer.zero_grad()
        F.cross_entropy(model(x[chosen]), y[chosen]).backward()
        optimizer.step()


def bad_rows_drawn_by_hand_normalised_along_the_batch():  # a note
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(8, 16), nn.Linear(16, 3)

        def forward(self, x):
            h = self.first(x)
            h = F.normalize(h, dim=0)  # SL508
            return self.last(h)

    shuffled(Net(), torch.randn(60, 8))


def bad_rows_drawn_by_hand_taken_for_a_sequence():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)
            self.last = nn.Linear(8, 3)

        def forward(self, x):
            return self.last(self.layer(x))  # SL508

    shuffled(Net(), torch.randn(60, 8))


def fine_windows_of_one_series_in_their_order():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.last = nn.GRU(8, 8), nn.Linear(8, 3)

        def forward(self, x):
            return self.last(self.rnn(x)[0] * x.mean(0))

    shuffled(Net(), torch.randn(60, 8), torch.arange(60))


def fine_distances_within_rows_drawn_by_hand():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(8, 16)

        def forward(self, x):
            h = self.first(x)
            return h @ h.t()

    x = torch.randn(60, 8)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for chosen in torch.randperm(60).split(12):
        optimizer.zero_grad()
        (model(x[chosen]) - torch.eye(12)).pow(2).mean().backward()
        optimizer.step()


def bad_gates_pooled_over_the_batch_that_hardly_move():  # a note
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 8, 3, padding=1)
            self.gate = nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 8), nn.Sigmoid())
            self.out = nn.Linear(8 * 25, 3)

        def forward(self, x):
            x = torch.relu(self.conv(x))
            gate = self.gate(x.mean((0, 2, 3)))
            return self.out((x * gate[:, None, None]).flatten(1))  # SL508

    torch.manual_seed(0)
    train(Net(), torch.randn(120, 1, 5, 5) / 20)


def bad_a_letter_of_einsum():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.out = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(4, 3)

        def forward(self, x):
            q, k = self.q(x), self.k(x)
            scores = torch.einsum("bqd,ckd->bqk", q, k)  # SL508
            return self.out((scores.softmax(-1) @ x).mean(1))

    train(Net(), series())


def fine_kernel_between_anchors_and_the_batch():
    class Kernel(nn.Module):
        def __init__(self):
            super().__init__()
            self.into = nn.Linear(4, 8)

        def forward(self, one, two):
            return (self.into(one) @ self.into(two).t()).tanh()

    kernel = Kernel()
    anchors, weights = nn.Parameter(torch.randn(10, 4)), nn.Parameter(torch.randn(10, 3))
    optimizer = torch.optim.SGD([*kernel.parameters(), anchors, weights], lr=0.01)
    data = TensorDataset(torch.randn(24, 4), torch.randint(0, 3, (24,)))
    for x, y in DataLoader(data, batch_size=6, shuffle=True):
        optimizer.zero_grad()
        F.cross_entropy(kernel(anchors, x).t() @ weights, y).backward()
        optimizer.step()


def fine_graph_of_the_nearest_samples():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.out = nn.Linear(20, 8), nn.Linear(8, 3)

        def forward(self, x):
            x = torch.relu(self.first(x.flatten(1)))
            nearest = torch.cdist(x, x).topk(3, largest=False)[1]
            graph = torch.zeros(len(x), len(x)).scatter_(1, nearest, 1 / 3)
            return self.out(graph @ x)  # SL508

    train(Net(), series())


def label_places(model, loss_of, classes=4):
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(4):
        x = torch.randn(5, 3, 6, 6)
        labels = (x[:, 0] > 0).long()
        optimizer.zero_grad()
        loss_of(model(x), labels).backward()
        optimizer.step()


def bad_maps_of_classes_viewed_as_rows():
    def loss_of(out, labels):
        rows = out.view(-1, 4)  # SL508
        return F.cross_entropy(rows, labels.view(-1))

    label_places(nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1)), loss_of)


def bad_upsampled_maps_reshaped_as_rows():
    def loss_of(out, labels):
        out = F.interpolate(out, scale_factor=2)
        return F.nll_loss(out.reshape(-1, 4).log_softmax(1), labels.reshape(-1))  # SL508

    label_places(nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 4, 1)), loss_of)


def good_maps_permuted_before_the_view():
    def loss_of(out, labels):
        return F.cross_entropy(out.permute(0, 2, 3, 1).reshape(-1, 4), labels.view(-1))

    label_places(nn.Conv2d(3, 4, 1), loss_of)


def fine_maps_flattened_to_one_row_for_each_sample():
    def loss_of(out, labels):
        return F.cross_entropy(out.flatten(1), labels[:, 0, 0])

    label_places(nn.Sequential(nn.Conv2d(3, 4, 6)), loss_of)


def fine_channels_that_are_places_and_width_that_is_classes():
    def loss_of(out, labels):
        return F.cross_entropy(out.reshape(-1, 6), labels[:, :, 0].reshape(-1))

    label_places(nn.Sequential(nn.Conv2d(3, 6, (6, 1)), nn.Flatten(2)), loss_of)


def fine_attention_across_samples_by_hand():
    """A note: weights between the samples, made of them, where rows have no sequence."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.ask, self.key, self.give = nn.Linear(4, 8), nn.Linear(4, 8), nn.Linear(4, 8)
            self.out = nn.Linear(8, 3)

        def forward(self, x):
            weights = (self.ask(x) @ self.key(x).t() / 8**0.5).softmax(-1)  # SL508
            return self.out(weights @ self.give(x))

    train(Net(), torch.randn(24, 4))


def fine_several_heads_across_samples_by_hand():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts, self.out = nn.Linear(8, 24), nn.Linear(8, 3)

        def forward(self, x):
            ask, key, give = self.parts(x).view(len(x), 3, 2, 4).permute(1, 2, 0, 3)
            mixed = F.scaled_dot_product_attention(ask, key, give)  # SL508
            return self.out(mixed.transpose(0, 1).reshape(len(x), 8))

    train(Net(), torch.randn(24, 8))


def fine_features_of_pictures_joined_across_samples():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.out = nn.Conv2d(1, 4, 3), nn.Linear(16, 3)

        def forward(self, x):
            rows = F.normalize(self.features(x).flatten(1), dim=1)
            near = torch.exp(rows @ rows.t())  # SL508
            return self.out(near / near.sum(1, keepdim=True) @ rows)

    train(Net(), torch.randn(24, 1, 4, 4))


def bad_attention_by_hand_with_the_batch_for_the_sequence():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts, self.out = nn.Linear(4, 24), nn.Linear(8, 3)

        def forward(self, x):
            ask, key, give = self.parts(x).transpose(0, 1).chunk(3, -1)
            weights = (ask @ key.transpose(1, 2)).softmax(-1)  # SL508
            return self.out((weights @ give).mean(0))

    train(Net(), series())


class TwoAttentions(nn.Module):
    """The first attention takes the batch for its sequence, unless told otherwise."""

    def __init__(self, batch_first=False):
        super().__init__()
        self.mine = nn.MultiheadAttention(4, 1, batch_first=batch_first)
        self.cross = nn.MultiheadAttention(4, 1, batch_first=batch_first or self.odd)
        self.ask = nn.Parameter(torch.randn(2, 4))
        self.out = nn.Linear(4, 3)

    odd = True

    def forward(self, x):
        h = x + self.mine(x, x, x)[0]
        ask = self.ask.expand(len(x), -1, -1)
        return self.out(self.cross(ask, h, h)[0])


def train_on_new_samples(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(9, 5, 4)).pow(2).mean().backward()
        optimizer.step()


def bad_one_of_two_attentions_takes_the_batch_first():
    class Net(TwoAttentions):
        def forward(self, x):
            h = x + self.mine(x, x, x)[0]  # SL508
            ask = self.ask.expand(len(x), -1, -1)
            return self.out(self.cross(ask, h, h)[0])

    train_on_new_samples(Net())


def good_both_attentions_take_the_batch_first():
    train_on_new_samples(TwoAttentions(batch_first=True))


def fine_sequence_first_throughout():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.mine = nn.MultiheadAttention(4, 1)
            self.out = nn.Linear(4, 3)

        def forward(self, x):
            return self.out(x + self.mine(x, x, x)[0])

    train_on_new_samples(Net())


class Tokens(nn.Module):
    def __init__(self, swap):
        super().__init__()
        self.embed, self.conv = nn.Embedding(10, 6), nn.Conv1d(6, 3, 3, padding=1)
        self.swap = swap

    def forward(self, tokens):
        return self.conv(self.swap(self.embed(tokens)))


def scored(model, shape=None):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(3):
        tokens = torch.randint(0, 10, (8, 5))
        optimizer.zero_grad()
        F.cross_entropy(model(tokens), tokens % 3).backward()
        optimizer.step()


def bad_view_before_a_convolution():
    def swap(h):
        return h.view(len(h), 6, 5)  # SL508

    scored(Tokens(swap))


def bad_scores_viewed_for_the_loss_of_each_place():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(10, 6), nn.Linear(6, 3)

        def forward(self, tokens):
            return self.head(self.embed(tokens)).reshape(-1, 3, 5)  # SL508

    scored(Net())


def fine_transposed_before_a_convolution():
    scored(Tokens(lambda h: h.transpose(1, 2)))


def fine_features_spread_over_places():
    class Net(nn.Module):  # a linear layer that makes maps: they lie as they are taken
        def __init__(self):
            super().__init__()
            self.embed, self.spread = nn.Embedding(10, 6), nn.Linear(30, 30)
            self.conv = nn.Conv1d(6, 3, 3, padding=1)

        def forward(self, tokens):
            return self.conv(self.spread(self.embed(tokens).flatten(1)).view(-1, 6, 5))

    scored(Net())


def fine_shifted_along_the_places():
    class Net(nn.Module):  # relative positions: a view that shifts each row by one more
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(10, 6), nn.Linear(6, 3)

        def forward(self, tokens):
            h = self.embed(tokens)
            scores = F.pad(h @ h.transpose(1, 2), (1, 0)).view(-1, 6, 5)[:, 1:]
            return self.head(scores.softmax(-1) @ h).transpose(1, 2)

    scored(Net())
