"""SL105 frozen-statistics-moving. `# SL105` marks the lines at which the finding must point."""

import copy

import torch
from torch import nn
from torch.nn import functional as F


def backbone():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())


class Probe(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = backbone()
        self.fc = nn.Linear(8, 2)

    def forward(self, x):
        return self.fc(self.backbone(x))


def batch(n=16):
    return torch.randn(n, 4) + 1, torch.randint(0, 2, (n,))


def train(model, parameters, steps=4):
    optimizer = torch.optim.SGD(parameters, lr=0.05)
    for _ in range(steps):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def bad_train_flips_it_back():
    model = Probe()
    model.backbone.requires_grad_(False).eval()
    for _ in range(2):
        model.train()  # SL105
        train(model, model.fc.parameters())


def bad_never_put_to_sleep():
    model = Probe()
    model.backbone.requires_grad_(False)
    optimizer = torch.optim.SGD(model.fc.parameters(), lr=0.05)
    for _ in range(4):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # SL105
        optimizer.step()


def bad_backbone_apart_from_the_head():
    features, head = backbone().requires_grad_(False), nn.Linear(8, 2)
    optimizer = torch.optim.SGD(head.parameters(), lr=0.05)
    for _ in range(4):
        x, y = batch()
        with torch.no_grad():
            found = features(x)  # SL105
        optimizer.zero_grad()
        F.cross_entropy(head(found), y).backward()
        optimizer.step()


def bad_flat_model():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.bn, self.fc = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)

        def forward(self, x):
            return self.fc(self.bn(self.conv(x)).relu())

    model = Flat()
    model.requires_grad_(False)
    model.fc.requires_grad_(True)
    optimizer = torch.optim.SGD(model.fc.parameters(), lr=0.05)
    for _ in range(4):
        x, y = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()  # SL105
        optimizer.step()


def bad_frozen_after_pretraining():
    model = Probe()
    train(model, model.parameters(), 20)
    model.backbone.requires_grad_(False)
    model.train()  # SL105
    train(model, model.fc.parameters())


def freeze_norms(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eval()
            module.requires_grad_(False)


def trainable(model):
    return [p for p in model.parameters() if p.requires_grad]


def evaluate(model):
    model.eval()
    with torch.no_grad():
        return model(batch()[0])


def bad_norms_frozen_before_train():
    model = Probe()
    train(model, model.parameters())
    evaluate(model)
    freeze_norms(model)
    evaluate(model)
    optimizer = torch.optim.SGD(trainable(model), lr=0.05)
    for _ in range(2):
        model.train()  # SL105
        for _ in range(3):
            x, y = batch()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        evaluate(model)


def bad_norms_frozen_in_the_constructor():
    class Frozen(Probe):
        def __init__(self):
            super().__init__()
            freeze_norms(self)

    model = Frozen()
    model.train()  # SL105
    train(model, trainable(model))


def good_norms_frozen_after_train():
    model = Probe()
    for _ in range(2):
        model.train()
        freeze_norms(model)
        train(model, trainable(model))
        evaluate(model)


def fine_norms_woken_by_a_later_phase():
    model = Probe()
    freeze_norms(model)
    train(model, trainable(model))
    model.train()
    train(model, trainable(model))


def fine_norms_frozen_but_for_their_statistics():
    model = Probe()
    model.backbone[1].requires_grad_(False)
    for _ in range(2):
        model.train()
        train(model, trainable(model))
        evaluate(model)


def fine_modules_put_to_sleep_one_by_one():
    model = Probe()
    model.backbone[1].requires_grad_(False)
    for _ in range(2):
        model.train()
        train(model, trainable(model))
        for module in model.modules():
            module.eval()
        with torch.no_grad():
            model(batch()[0])
    model.train()
    for child in (model.backbone[0], model.backbone[1], model.fc):
        child.eval()
    with torch.no_grad():
        model(batch()[0])
    model.train()
    train(model, trainable(model))


def fine_norms_asleep_for_an_attack():
    model = Probe()
    model.backbone[1].requires_grad_(False)
    for _ in range(4):
        model.train()
        freeze_norms(model)
        x = batch()[0].requires_grad_(True)
        torch.autograd.grad(model(x).sum(), x)
        model.train()
        train(model, trainable(model), 1)


def good_eval_after_train():
    model = Probe()
    model.backbone.requires_grad_(False)
    for _ in range(2):
        model.train()
        model.backbone.eval()
        train(model, model.fc.parameters())


def fine_norms_are_trained():
    model = Probe()
    model.backbone[0].requires_grad_(False)
    train(model, [p for p in model.parameters() if p.requires_grad])


def fine_input_norm_without_parameters():
    model = nn.Sequential(nn.BatchNorm1d(4, affine=False), nn.Linear(4, 8), nn.Linear(8, 2))
    train(model, model.parameters())


def fine_input_norm_in_a_part_of_its_own():
    model = nn.Sequential(nn.Sequential(nn.BatchNorm1d(4, affine=False)), nn.Linear(4, 2))
    train(model, model.parameters())


def fine_momentum_encoder():
    class Moco(nn.Module):
        def __init__(self):
            super().__init__()
            self.query = nn.Sequential(backbone(), nn.Linear(8, 4))
            self.key = copy.deepcopy(self.query).requires_grad_(False)

        def forward(self, x):
            with torch.no_grad():
                for key, query in zip(self.key.parameters(), self.query.parameters(), strict=True):
                    key.data = key.data * 0.99 + query.data * 0.01
                target = self.key(x + 0.1)
            return self.query(x), target

    model = Moco()
    optimizer = torch.optim.SGD(model.query.parameters(), lr=0.1)
    for _ in range(6):
        optimizer.zero_grad()
        F.mse_loss(*model(batch()[0])).backward()
        optimizer.step()


class Learner(nn.Module):
    """An online net of many norms, and a target inside the same module, moved by its method."""

    def __init__(self, depth=12):
        super().__init__()
        layers = [m for _ in range(depth) for m in (nn.Linear(4, 4), nn.BatchNorm1d(4))]
        self.online = nn.Sequential(*layers)
        self.target = copy.deepcopy(self.online).requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            wanted = self.target(x + 0.1)
        return F.mse_loss(self.online(x), wanted)

    def update(self, share=0.01):
        for held, parameter in zip(self.target.parameters(), self.online.parameters(), strict=True):
            held.data = held.data * (1 - share) + parameter.data * share


def fine_deep_target_in_train_mode():
    model = Learner()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-4)
    for _ in range(6):
        optimizer.zero_grad()
        model(batch()[0]).backward()
        optimizer.step()
        model.update()


def fine_target_that_waits_for_a_warm_up():
    model = Learner(depth=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0, step - 3) / 10)
    for _ in range(8):
        optimizer.zero_grad()
        model(batch()[0]).backward()
        optimizer.step()
        schedule.step()
        model.update()


def fine_target_copied_now_and_then():
    model = Learner(depth=2)
    optimizer = torch.optim.SGD(model.online.parameters(), lr=0.1)
    for step in range(12):
        optimizer.zero_grad()
        model(batch()[0]).backward()
        optimizer.step()
        if step % 5 == 4:
            model.target.load_state_dict(model.online.state_dict())


def fine_target_in_train_mode():
    online = nn.Sequential(backbone(), nn.Linear(8, 4))
    target = copy.deepcopy(online).requires_grad_(False)
    optimizer = torch.optim.SGD(online.parameters(), lr=0.1)
    for _ in range(6):
        x, _ = batch()
        with torch.no_grad():
            wanted = target(x)
        optimizer.zero_grad()
        F.mse_loss(online(x), wanted).backward()
        optimizer.step()
        with torch.no_grad():
            for held, parameter in zip(target.parameters(), online.parameters(), strict=True):
                held.lerp_(parameter, 0.01)


def fine_networks_frozen_in_turn():
    generator = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    critic = nn.Sequential(backbone(), nn.Linear(8, 1))
    g_optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
    c_optimizer = torch.optim.SGD(critic.parameters(), lr=0.1)
    for _ in range(6):
        critic.requires_grad_(True)
        c_optimizer.zero_grad()
        fake = generator(torch.randn(8, 2)).detach()
        (critic(fake).mean() - critic(torch.randn(8, 4)).mean()).backward()
        c_optimizer.step()
        critic.requires_grad_(False)
        for _ in range(3):
            g_optimizer.zero_grad()
            (-critic(generator(torch.randn(8, 2))).mean()).backward()
            g_optimizer.step()


def fine_frozen_norm_asleep():
    model = Probe()
    model.backbone.requires_grad_(False)
    model.backbone[1].eval()
    train(model, model.fc.parameters())


def fine_evaluation_of_a_frozen_model():
    model = Probe()
    model.requires_grad_(False)
    for _ in range(3):
        model(batch()[0])
