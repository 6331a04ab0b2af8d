"""SL104 dropout-ignores-eval. `# SL104` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.nn import functional as F


def run(model, size=4):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(2):
        model.train()
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, size)).pow(2).mean().backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            model(torch.randn(8, size)).pow(2).mean().item()


def bad_default_flag():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)

        def forward(self, x):
            x = F.dropout(self.a(x), p=0.5)  # SL104
            return self.b(x)

    run(Net())


def bad_in_a_part_called_through_a_helper():
    def feed(x, layer):
        return nn.functional.dropout(layer(x), 0.3)  # SL104

    class Part(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 8)

        def forward(self, x):
            return feed(x, self.a)

    run(nn.Sequential(Part(), nn.Linear(8, 1)))


def bad_attention():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(4, 12)

        def forward(self, x):
            q, k, v = self.qkv(x)[None, None].chunk(3, -1)
            return F.scaled_dot_product_attention(q, k, v, dropout_p=0.2)  # SL104

    run(Attention())


def bad_module_made_in_forward():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)

        def forward(self, x):
            return self.b(nn.Dropout(0.5)(self.a(x)))  # SL104

    run(Net())


def bad_dropouts_in_a_plain_list():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)
            self.drops = [nn.Dropout(0.5)]

        def forward(self, x):
            x = self.a(x)
            for drop in self.drops:
                x = drop(x)  # SL104
            return self.b(x)

    run(Net())


def bad_flag_written_as_true():  # a note
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 8)

        def forward(self, x):
            return F.dropout2d(self.a(x)[None], 0.5, training=True)  # SL104

    run(Net())


def fine_a_flag_that_overrides_the_mode():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)

        def forward(self, x, sample=True):
            dropping = self.training or sample
            x = F.dropout(self.a(x), p=0.5, training=dropping)
            return self.b(F.dropout(x, 0.2, self.training or sample))

    run(Net())


def bad_a_flag_of_the_forwards_own():  # a note
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)

        def forward(self, x, training=True):
            return self.b(F.dropout(self.a(x), p=0.5, training=training))  # SL104

    run(Net())


def bad_torch_dropout():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)

        def forward(self, x):
            return self.b(torch.dropout(self.a(x), 0.5, True))  # SL104

    run(Net())


def learn(model, steps=3):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()


def drop_rows(x, p, training=True):
    if not training:
        return x
    mask = torch.bernoulli(torch.full((len(x), 1), 1 - p))
    return x * mask / (1 - p)


def bad_mask_of_a_layer():  # a note
    class DropRows(nn.Module):
        def forward(self, x):
            return drop_rows(x, 0.5)  # SL104

    model = nn.Sequential(nn.Linear(4, 8), DropRows(), nn.Linear(8, 1))
    run(model)


def good_mask_that_follows_the_flag():
    class DropRows(nn.Module):
        def forward(self, x):
            return drop_rows(x, 0.5, self.training)

    model = nn.Sequential(nn.Linear(4, 8), DropRows(), nn.Linear(8, 1))
    run(model)


def fine_masks_that_are_no_dropout():
    class Hidden(nn.Module):  # what a masked autoencoder is to find, and noise
        def forward(self, x):
            return x * (torch.rand(x.shape) > 0.5)

    class Noisy(nn.Module):
        def forward(self, x):
            return x * (1 + 0.1 * torch.randn(x.shape))

    model = nn.Sequential(nn.Linear(4, 8), Hidden(), Noisy(), nn.Linear(8, 1))
    run(model)


def bad_method_called_by_its_name():
    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)

        def encode(self, x):
            return F.dropout(torch.relu(self.a(x)), p=0.5)  # SL104

        def forward(self, x):
            return self.b(self.encode(x))

    model = Encoder()
    learn(model)
    model.eval()
    with torch.no_grad():
        torch.cat([model.encode(torch.randn(8, 4)) for _ in range(3)]).mean().item()


def fine_method_called_in_train_mode():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 1)

        def encode(self, x):
            return F.dropout(x, p=0.5)

        def forward(self, x):
            return self.a(self.encode(x))

    model = Noisy()
    learn(model)
    with torch.no_grad():
        model.encode(torch.randn(8, 4)).mean().item()


def fine_one_of_two_in_train_mode():
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 1)

        def corrupt(self, x):
            return F.dropout(x, p=0.5)

        def forward(self, x):
            return self.a(x)

    student, teacher = Noisy(), Noisy().eval()
    learn(student)
    with torch.no_grad():
        x = student.corrupt(torch.randn(8, 4))
        teacher(x).mean().item()


def fine_augmentation_by_a_trainer():
    class Trainer:
        def corrupt(self, x):
            return F.dropout(x, p=0.5)

    model = nn.Linear(4, 1)
    learn(model)
    model.eval()
    with torch.no_grad():
        model(Trainer().corrupt(torch.randn(8, 4))).mean().item()


def good_follows_the_flag():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.qkv = nn.Linear(4, 8), nn.Linear(8, 12)

        def forward(self, x):
            x = F.dropout(self.a(x), 0.5, self.training)
            q, k, v = self.qkv(x)[None, None].chunk(3, -1)
            p = 0.2 if self.training else 0.0
            return F.scaled_dot_product_attention(q, k, v, dropout_p=p)

    run(Net())


def fine_alpha_dropout_is_off_by_default():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 8)

        def forward(self, x):
            return F.alpha_dropout(self.a(x), 0.5)

    run(Net())


def fine_mc_dropout_with_the_flag_on():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    run(model)
    model.eval()
    model[1].train()
    with torch.no_grad():
        x = torch.randn(8, 4)
        torch.stack([model(x) for _ in range(4)]).std(0).mean().item()


def fine_dropout_shared_with_its_owner():
    class Part(nn.Module):
        def __init__(self, drop):
            super().__init__()
            self.a, self.drop = nn.Linear(4, 8), drop

        def forward(self, x):
            return self.drop(self.a(x))

    run(Part(nn.Dropout(0.5)))


def fine_p_of_zero():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 8)

        def forward(self, x):
            return F.dropout(self.a(x), 0.0)

    run(Net())


def fine_augmentation_outside_of_the_model():
    model = nn.Linear(4, 1)
    model.eval()
    with torch.no_grad():
        model(F.dropout(torch.randn(8, 4), 0.2)).mean().item()


def fine_script_and_transformer():
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    run(layer)
    scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)))  # SL002
    scripted(torch.randn(2, 4))
    scripted = torch.jit.script(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True))  # SL002
    scripted(torch.randn(2, 3, 4))


def fine_torch_dropout_follows_the_flag():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 1)

        def forward(self, x):
            return self.b(torch.dropout(self.a(x), 0.5, self.training))

    run(Net())
