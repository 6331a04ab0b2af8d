"""SL101 step-in-eval-mode. `# SL101` marks the lines at which the finding must point."""

import copy
import pickle

import torch
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, p=0.3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(p))
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.body(x))


def build(model=None):
    model = model or Net()
    return model, torch.optim.SGD(model.parameters(), lr=0.05)


def batch(n=16):
    return torch.randn(n, 4), torch.randint(0, 2, (n,))


def score(model):
    x, y = batch()
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def train(model, optimizer, steps=3):
    for _ in range(steps):
        x, y = batch()
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_never_switched_back():
    model, optimizer = build()
    model.train()
    for _ in range(3):
        for _ in range(4):
            x, y = batch()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()  # SL101
            optimizer.step()
        model.eval()
        score(model)


def bad_arrives_in_eval():
    saved = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).eval()
    model, optimizer = build(pickle.loads(pickle.dumps(saved)))
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # SL101
        optimizer.step()


def bad_constructor_calls_eval():
    class Pretrained(Net):
        @classmethod
        def from_pretrained(cls):
            return cls().eval()

    model, optimizer = build(Pretrained.from_pretrained())
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # SL101
        optimizer.step()


def bad_pretrained_part():
    class Wrapper(nn.Module):
        def __init__(self, encoder):
            super().__init__()
            self.encoder = encoder
            self.out = nn.Linear(2, 2)

        def forward(self, x):
            return self.out(self.encoder(x))

    encoder = Net()
    encoder.eval()
    model, optimizer = build(Wrapper(encoder))
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # SL101
        optimizer.step()


def bad_unfrozen_but_still_asleep():
    model, optimizer = build()
    model.train()
    model.body.requires_grad_(False)
    model.body.eval()
    train(model, optimizer)
    model.body.requires_grad_(True)
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # SL101
        optimizer.step()


def bad_only_functional_dropout():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x):
            return self.b(F.dropout(self.a(x).relu(), 0.5, self.training))

    model, optimizer = build(Functional())
    train(model, optimizer)
    model.eval()
    score(model)
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # SL101
        optimizer.step()


def bad_part_left_asleep_by_an_evaluation():
    model, optimizer = build()
    model.train()
    train(model, optimizer)
    model.body.eval()
    score(model)
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # SL101
        optimizer.step()


def bad_part_put_to_sleep_on_purpose_perhaps():  # a note
    model, optimizer = build()
    model.train()
    model.body.eval()
    for _ in range(3):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # SL101
        optimizer.step()


def good_switched_back():
    model, optimizer = build()
    for _ in range(3):
        model.train()
        train(model, optimizer)
        model.eval()
        score(model)


def fine_frozen_backbone_in_eval():
    model, optimizer = build()
    model.body.requires_grad_(False)
    for _ in range(2):
        model.train()
        model.body.eval()
        train(model, optimizer)
        model.eval()
        score(model)


def fine_all_frozen_but_the_head():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn, self.fc = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)

        def forward(self, x):
            return self.fc(self.bn(self.conv(x)).relu())

    model = Flat().eval()
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    train(model, torch.optim.SGD(model.fc.parameters(), lr=0.1))


def fine_norms_frozen_by_their_own_eval():
    model, optimizer = build()
    for _ in range(2):
        model.train()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        train(model, optimizer)


def fine_norms_frozen_in_an_overridden_train():
    class Frozen(Net):
        def train(self, mode=True):
            super().train(mode)
            self.body[1].eval()
            return self

    model, optimizer = build(Frozen())
    for _ in range(2):
        model.train()
        train(model, optimizer)
        model.eval()
        score(model)


def fine_norms_frozen_by_apply():
    def set_bn_eval(module):
        if "BatchNorm" in type(module).__name__:
            module.eval()

    model, optimizer = build()
    model.train()
    model.apply(set_bn_eval)
    train(model, optimizer)


def fine_flag_written_on_the_norm():
    model, optimizer = build()
    model.body[1].training = False
    train(model, optimizer)


def fine_nothing_mode_sensitive():
    model, optimizer = build(nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 2)))
    model.eval()
    train(model, optimizer)


def fine_dropout_of_zero():
    model, optimizer = build(nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.0), nn.Linear(8, 2)))
    model.eval()
    train(model, optimizer)


def fine_functional_dropout_of_zero():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 2)

        def forward(self, x):
            return F.dropout(self.a(x), 0.0, self.training)

    model, optimizer = build(Functional())
    model.eval()
    train(model, optimizer)


def fine_teacher_in_eval_with_grad():
    teacher, student = Net().eval(), Net()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05)  # SL301
    for _ in range(3):
        x, _ = batch()
        optimizer.zero_grad()
        F.mse_loss(student(x), teacher(x)).backward()
        optimizer.step()


def fine_discriminator_asleep_in_the_generators_step():
    generator, g_optimizer = build(
        nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    )
    critic, c_optimizer = build(nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1)))
    for _ in range(3):
        critic.train()
        c_optimizer.zero_grad()
        fake = generator(torch.randn(8, 2)).detach()
        (critic(fake).mean() - critic(torch.randn(8, 4)).mean()).backward()
        c_optimizer.step()
        critic.eval()
        g_optimizer.zero_grad()
        (-critic(generator(torch.randn(8, 2))).mean()).backward()
        g_optimizer.step()


def fine_adversarial_examples_crafted_in_eval():
    model, optimizer = build()
    for _ in range(3):
        x, y = batch()
        model.eval()
        x.requires_grad_()
        F.cross_entropy(model(x), y).backward()
        x = (x + 0.1 * x.grad.sign()).detach()
        model.train()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def fine_only_the_input_is_trained():
    model = Net().eval()
    image = torch.randn(4, 4, requires_grad=True)
    optimizer = torch.optim.Adam([image], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (-model(image)[:, 0].mean()).backward()
        optimizer.step()


def fine_backbone_left_out_of_the_optimizer():
    model = Net()
    model.train()
    model.body.eval()
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
    for _ in range(3):
        x, y = batch()
        model.zero_grad()
        F.cross_entropy(model.head(model.body(x).detach()), y).backward()
        optimizer.step()


def fine_copy_evaluated():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        best = copy.deepcopy(model).eval()
        score(best)
