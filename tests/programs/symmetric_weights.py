"""SL605 symmetric-weights. `# SL605` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def train(model, steps=8, lr=0.1, kind=torch.optim.SGD, loss=F.cross_entropy):
    optimizer = kind([p for p in model.parameters() if p.requires_grad], lr=lr)
    for _ in range(steps):
        x, y = torch.randn(32, 4), torch.randint(0, 3, (32,))
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()


def mlp():
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))


def bad_constant_weights():
    model = mlp()
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.weight, 0.01)  # SL605
        nn.init.zeros_(layer.bias)
    train(model)


def bad_filled_through_data():
    model = mlp()
    for parameter in model.parameters():
        parameter.data.fill_(0.1)  # SL605
    train(model, kind=torch.optim.Adam, lr=0.01)


def bad_all_zero():
    model = mlp()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)  # SL605
    train(model)


def bad_lstm_of_constants():
    model = nn.LSTM(4, 8, batch_first=True)
    head = nn.Linear(8, 1)
    for name, parameter in model.named_parameters():
        if "weight" in name:
            nn.init.constant_(parameter, 0.1)  # SL605
        else:
            nn.init.zeros_(parameter)
    nn.init.constant_(head.weight, 0.5)
    optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        out, _ = model(torch.randn(16, 5, 4))
        (head(out[:, -1]) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_layer_of_ones_own():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.full((4, 8), 0.1))
            self.v = nn.Parameter(torch.full((8, 3), 0.1))  # SL605

        def forward(self, x):
            return torch.tanh(x @ self.w) @ self.v

    model = Own()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(32, 4)), torch.randint(0, 3, (32,))).backward()
        optimizer.step()


def bad_constant_layer_before_a_zero_head_of_classes_that_do_not_occur():
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 12))
    nn.init.constant_(model[0].weight, 0.1)  # SL605
    nn.init.zeros_(model[0].bias)
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    train(model)  # with 3 of the 12 classes


def bad_constant_filters_before_a_flattened_image():
    model = nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 6, 1), nn.Tanh(), nn.Flatten(), nn.Linear(24, 3)
    )
    for layer in (model[1], model[4]):
        nn.init.constant_(layer.weight, 0.1)  # SL605
        nn.init.zeros_(layer.bias)
    train(model)


def bad_constant_transformer():
    model = nn.Sequential(
        nn.Unflatten(1, (2, 2)),
        nn.Linear(2, 8),
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    for parameter in model[2].parameters():
        if parameter.dim() > 1:
            nn.init.constant_(parameter, 0.05)  # SL605
    train(model)


def bad_recurrent_cell_of_constants_own():
    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.into = nn.Parameter(torch.full((4, 8), 0.1))
            self.back = nn.Parameter(torch.full((8, 8), 0.1))
            self.out = nn.Parameter(torch.full((8, 3), 0.1))  # SL605

        def forward(self, x):
            state = torch.zeros(len(x), 8)
            for _ in range(3):
                state = torch.tanh(x @ self.into + state @ self.back)
            return state @ self.out

    train(Cell())


def bad_both_factors_zero_long_after_the_window():
    class Adapted(nn.Module):
        """A layer that was trained, and two factors beside it."""

        def __init__(self, base, first):
            super().__init__()
            self.base = base.requires_grad_(False)
            self.a = nn.Parameter(first)  # SL605
            self.b = nn.Parameter(torch.zeros(base.out_features, 2))

        def forward(self, x):
            return self.base(x) + x @ self.a.T @ self.b.T

    base = nn.Linear(4, 16)
    train(nn.Sequential(base, nn.Tanh(), nn.Linear(16, 3)), steps=40)
    adapted = Adapted(base, torch.zeros(2, 4))
    train(nn.Sequential(adapted, nn.Tanh(), nn.Linear(16, 3)), steps=60)


def good_random_weights():
    model = mlp()
    for layer in (model[0], model[2]):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    train(model)


def fine_one_unit():
    model = nn.Linear(4, 1)
    nn.init.zeros_(model.weight)
    train(model, loss=lambda out, y: (out[:, 0] - y).pow(2).mean())


def fine_zero_initialised_last_layer():
    model = mlp()
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    train(model)


class Lora(nn.Module):
    def __init__(self):
        super().__init__()
        self.base = nn.Linear(4, 3).requires_grad_(False)
        self.a = nn.Linear(4, 2, bias=False)
        self.b = nn.Linear(2, 3, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, x):
        return self.base(x) + self.b(self.a(x))


def fine_lora():
    train(Lora())


def fine_one_factor_zero_long_after_the_window():
    base = nn.Linear(4, 16)
    train(nn.Sequential(base, nn.Tanh(), nn.Linear(16, 3)), steps=40)
    adapted = Lora()
    adapted.base = base.requires_grad_(False)
    adapted.b = nn.Linear(2, 16, bias=False)
    nn.init.zeros_(adapted.b.weight)
    train(nn.Sequential(adapted, nn.Tanh(), nn.Linear(16, 3)), steps=60)


def fine_norms_and_biases():
    model = nn.Sequential(
        nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3)
    )
    nn.init.zeros_(model[0].bias)
    train(model)


def fine_dropout_parts_them():
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 3))
    nn.init.constant_(model[0].weight, 0.1)
    nn.init.zeros_(model[0].bias)
    nn.init.constant_(model[3].weight, 0.1)
    train(model)


def fine_equal_incoming_random_outgoing():
    model = mlp()
    nn.init.constant_(model[0].weight, 0.1)
    nn.init.zeros_(model[0].bias)
    train(model)


def fine_embedding_of_zeros():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(50, 8)
            nn.init.zeros_(self.table.weight)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            return self.head(self.table((x[:, 0].abs() * 10).long()))

    train(Tagger())


def fine_depthwise_of_ones():
    model = nn.Sequential(nn.Conv1d(4, 4, 3, groups=4, padding=1), nn.Flatten(), nn.Linear(16, 3))
    nn.init.ones_(model[0].weight)
    train(nn.Sequential(nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 4, 1, groups=4), nn.Flatten(),
                        nn.Linear(4, 3)))  # fmt: skip
    del model


def fine_zero_gate_then_zero_layer():
    class Control(nn.Module):
        def __init__(self):
            super().__init__()
            self.base = nn.Linear(4, 3)
            self.into = nn.Linear(4, 4)
            self.out = nn.Linear(4, 3)
            nn.init.zeros_(self.into.weight)
            nn.init.zeros_(self.into.bias)
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

        def forward(self, x):
            return self.base(x) + self.out(torch.tanh(x + self.into(x)))

    train(Control())


def fine_recurrent_weights_of_zero():
    model = nn.RNN(4, 8, batch_first=True)
    head = nn.Linear(8, 1)
    nn.init.zeros_(model.weight_hh_l0)
    optimizer = torch.optim.SGD([*model.parameters(), *head.parameters()], lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        out, _ = model(torch.randn(16, 5, 4))
        (head(out[:, -1]) - 1).pow(2).mean().backward()
        optimizer.step()


def fine_frozen_blur():
    blur = nn.Conv2d(1, 2, 3, padding=1, bias=False).requires_grad_(False)
    nn.init.constant_(blur.weight, 1 / 9)
    head = nn.Linear(2, 1)
    optimizer = torch.optim.SGD([*blur.parameters(), *head.parameters()], lr=0.1)
    for _ in range(8):
        optimizer.zero_grad()
        (head(blur(torch.randn(4, 1, 6, 6)).mean((2, 3))) - 1).pow(2).mean().backward()
        optimizer.step()


def fine_constant_columns_behind_dead_units():
    class Scaled(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.mean = nn.Parameter(torch.randn(outputs, inputs) * 0.1)
            self.spread = nn.Parameter(torch.full((outputs, inputs), 0.05))

        def forward(self, x):
            return x @ (self.mean + self.spread * torch.randn(self.mean.shape)).t()

    first = nn.Linear(4, 64)
    with torch.no_grad():
        first.bias[10:16] = -100  # units that never fire
    model = nn.Sequential(first, nn.ReLU(), Scaled(64, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    for _ in range(60):
        optimizer.zero_grad()
        (model(torch.randn(16, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def fine_zero_head_of_classes_that_do_not_occur():
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 12))
    nn.init.zeros_(model[2].weight)
    nn.init.zeros_(model[2].bias)
    train(model)  # with 3 of the 12 classes


def fine_zero_head_of_an_own_class_with_classes_that_do_not_occur():
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(16, 12))

        def forward(self, x):
            return (x.unsqueeze(1) @ self.w).squeeze(1)

    train(nn.Sequential(nn.Linear(4, 16), nn.Tanh(), Head()))


def fine_some_shares_that_nothing_but_the_sum_reads():
    class Shares(nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = nn.Linear(4, 12)
            self.head = nn.Linear(8, 3)
            nn.init.zeros_(self.logits.weight)
            nn.init.zeros_(self.logits.bias)

        def forward(self, x):
            return self.head(self.logits(x).softmax(1)[:, :8])

    train(Shares())


def fine_own_layer_of_zeros_on_features_that_never_change():
    class Softmax(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(16, 3))
            self.b = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return F.pad(x, (0, 12), value=-0.4) @ self.w + self.b

    train(Softmax())


def fine_zero_gates_that_are_added_up():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = nn.Linear(4, 4)
            self.head = nn.Linear(4, 3)
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

        def forward(self, x):
            return self.head(x * (1 + self.gate(x).tanh().sum(1, keepdim=True)))

    train(Gated())
