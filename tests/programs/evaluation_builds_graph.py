"""SL103 evaluation-builds-graph. `# SL103` marks the lines at which the finding must point."""

import copy

import torch
from torch import nn
from torch.nn import functional as F


def build():
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.05)


def batch(n=16):
    return torch.randn(n, 4), torch.randint(0, 2, (n,))


def train(model, optimizer, steps=3):
    model.train()
    for _ in range(steps):
        x, y = batch()
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_no_no_grad():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        for _ in range(3):
            x, y = batch()
            logits = model(x)  # SL103
            (logits.argmax(1) == y).sum().item()


def bad_once_at_the_end():
    model, optimizer = build()
    train(model, optimizer)
    model.eval()
    x, y = batch()
    logits = model(x)  # SL103
    (logits.argmax(1) == y).sum().item()


def bad_teacher_with_a_graph():
    student, optimizer = build()
    teacher, one = build()
    train(teacher, one)
    train(student, optimizer)
    teacher.eval()
    for _ in range(5):
        x, _ = batch()
        wanted = teacher(x).softmax(1)  # SL103
        optimizer.zero_grad()
        F.kl_div(student(x).log_softmax(1), wanted, reduction="batchmean").backward()
        optimizer.step()


def plain():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.05)


def bad_plain_model_evaluated_with_a_graph():
    model, optimizer = plain()
    for _ in range(3):
        train(model, optimizer)
        for _ in range(3):
            x, y = batch()
            F.cross_entropy(model(x), y).item()  # SL103


class Chain(nn.Module):
    def __init__(self, p=0.0):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(4, 8), nn.Dropout(p), nn.Linear(8, 2)

    def forward(self, x):
        return self.last(self.drop(F.relu(self.first(x))))


def bad_parts_that_feed_one_another_in_train_mode():
    model = Chain()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        for _ in range(4):
            hidden = model.first(torch.randn(8, 4))  # SL103
            model.last(F.relu(hidden)).argmax(1)  # what feeds it has been told
        train(model, optimizer)


def bad_parts_that_feed_one_another_in_eval_mode():
    model = Chain(0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        train(model, optimizer)
        model.eval()
        for _ in range(4):
            hidden = model.first(torch.randn(8, 4))  # SL103
            model.last(F.relu(hidden)).argmax(1)


def bad_target_with_a_graph():
    model, optimizer = plain()
    target = copy.deepcopy(model)
    for step in range(9):
        if step % 3 == 0:
            target.load_state_dict(model.state_dict())
        x, _ = batch()
        wanted = 1 + target(x).amax(1)  # SL103
        optimizer.zero_grad()
        F.mse_loss(model(x)[:, 0], wanted).backward()
        optimizer.step()


def good_target_without_a_graph():
    model, optimizer = plain()
    target = copy.deepcopy(model)
    for step in range(9):
        if step % 3 == 0:
            target.load_state_dict(model.state_dict())
        x, _ = batch()
        with torch.no_grad():
            wanted = 1 + target(x).amax(1)
        optimizer.zero_grad()
        F.mse_loss(model(x)[:, 0], wanted).backward()
        optimizer.step()


def fine_policy_that_acts_and_learns_later():
    model, optimizer = plain()
    for _ in range(4):
        kept = []
        for _ in range(3):
            logits = model(torch.randn(1, 4))
            kept.append(torch.distributions.Categorical(logits=logits).log_prob(torch.tensor(0)))
        optimizer.zero_grad()
        (-torch.cat(kept).mean()).backward()
        optimizer.step()


def fine_two_losses_of_one_model_in_turn():
    model, optimizer = plain()
    for step in range(8):
        x, y = batch()
        first, second = model(x), model(-x)
        optimizer.zero_grad()
        F.cross_entropy(second if step > 4 else first, y).backward()
        optimizer.step()


def good_no_grad():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        with torch.no_grad():
            for _ in range(3):
                x, y = batch()
                (model(x).argmax(1) == y).sum().item()


def fine_saliency():
    model, optimizer = build()
    train(model, optimizer)
    model.eval()
    for _ in range(3):
        x = batch()[0].requires_grad_()
        torch.autograd.grad(model(x)[:, 0].sum(), x)[0].abs().mean().item()


def fine_adversarial_examples():
    model, optimizer = build()
    for _ in range(2):
        train(model, optimizer)
        model.eval()
        x, y = batch()
        x.requires_grad_()
        F.cross_entropy(model(x), y).backward()
        model.zero_grad()
        with torch.no_grad():
            model(x + x.grad.sign()).argmax(1)


def fine_loss_kept_for_later():
    model, optimizer = build()
    train(model, optimizer)
    model.eval()
    losses = []
    for _ in range(3):
        x, y = batch()
        losses.append(F.cross_entropy(model(x), y))
    torch.stack(losses).mean().backward()
    model.zero_grad()


def fine_model_that_nobody_trained():
    model, _ = build()
    model.eval()
    for _ in range(3):
        model(batch()[0]).argmax(1)


def fine_frozen_model():
    model, optimizer = build()
    train(model, optimizer)
    model.requires_grad_(False).eval()
    for _ in range(3):
        model(batch()[0]).argmax(1)


def fine_gradient_through_a_frozen_critic():
    model, optimizer = build()
    critic = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    two = torch.optim.SGD(critic.parameters(), lr=0.05)
    x, y = batch()
    for _ in range(3):
        two.zero_grad()
        F.cross_entropy(critic(model(x).detach()), y).backward()
        two.step()
    critic.eval()
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(critic(model(x)), y).backward()
        optimizer.step()


def bad_models_that_come_and_go():
    for _ in range(3):
        model, optimizer = build()
        train(model, optimizer)
        model.eval()
        x, y = batch()
        (model(x).argmax(1) == y).sum().item()  # SL103


class Energy(nn.Module):
    """Finds its answer by steps along a gradient, in eval mode as well."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, 8), nn.Softplus(), nn.Linear(8, 1, bias=False))

    def forward(self, x):
        y = torch.zeros(len(x), 2, requires_grad=True)
        for _ in range(2):
            energy = self.net(torch.cat([x, y], 1)).sum()
            y = y - 0.5 * torch.autograd.grad(energy, y, create_graph=True)[0]
        return y


def fine_gradient_within_the_forward():
    model = Energy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(3):
        model.train()
        for _ in range(3):
            optimizer.zero_grad()
            (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
            optimizer.step()
        model.eval()
        for _ in range(2):
            assert model(torch.randn(8, 4)).data.isfinite().all()
