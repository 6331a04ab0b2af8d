"""SL214 term-without-gradient. `# SL214` marks where the finding must point."""

import copy

import torch
from torch import nn
from torch.nn import functional as F


def train(loss_of, model=None, steps=8):
    model = model or nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        x = torch.randn(16, 4)
        loss = loss_of(model, x, (x > 0).float()[:, :3])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def bad_dice_of_a_threshold():
    def loss_of(model, x, y):
        logits = model(x)
        predicted = (torch.sigmoid(logits) > 0.5).float()  # SL214
        dice = 1 - 2 * (predicted * y).sum() / (predicted.sum() + y.sum() + 1)
        return F.binary_cross_entropy_with_logits(logits, y) + 0.5 * dice

    train(loss_of)


def bad_overlap_of_the_largest():
    def loss_of(model, x, y):
        logits = model(x)
        labels = y.argmax(1)
        chosen = logits.argmax(1)  # SL214
        right = (F.one_hot(chosen, 3) * F.one_hot(labels, 3)).sum(1).float()
        loss = F.cross_entropy(logits, labels)
        loss += 1 - right.mean()
        return loss

    train(loss_of)


def bad_gradient_penalty_without_a_graph():
    def penalty(model, x):
        x = x.clone().requires_grad_(True)
        out = model(x)
        gradients = torch.autograd.grad(out.sum(), x, retain_graph=True)[0]  # SL214
        return ((gradients.norm(dim=1) - 1) ** 2).mean()

    def loss_of(model, x, y):
        return F.mse_loss(model(x), y) + 10 * penalty(model, x)

    train(loss_of)


def bad_penalty_between_real_and_drawn():
    critic = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    maker = nn.Linear(4, 4)

    def loss_of(critic, x, y):
        drawn = maker(torch.randn(16, 4)).detach()
        share = torch.rand(16, 1)
        mixed = (share * x + (1 - share) * drawn).requires_grad_(True)
        out = critic(mixed)
        slopes = torch.autograd.grad(out, mixed, grad_outputs=torch.ones_like(out))[0]  # SL214
        penalty = ((slopes.norm(2, dim=1) - 1) ** 2).mean()
        return critic(drawn).mean() - critic(x).mean() + 10 * penalty

    train(loss_of, critic)


def bad_forces_without_a_graph():
    def loss_of(model, x, y):
        x = x.clone().requires_grad_(True)
        energy = model(x)
        (slopes,) = torch.autograd.grad(energy.sum(), x, retain_graph=True)  # SL214
        return F.mse_loss(energy, y) + 10 * F.mse_loss(-slopes, -2 * x.detach())

    train(loss_of)


def good_soft_and_with_a_graph():
    def loss_of(model, x, y):
        x = x.clone().requires_grad_(True)
        logits = model(x)
        predicted = torch.sigmoid(logits)
        (gradients,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        dice = 1 - 2 * (predicted * y).sum() / (predicted.sum() + y.sum() + 1)
        penalty = gradients.pow(2).mean()
        return F.binary_cross_entropy_with_logits(logits, y) + dice + penalty + 1.0

    train(loss_of)


def fine_score_that_is_shown():
    shown = []

    def loss_of(model, x, y):
        logits = model(x)
        loss = F.binary_cross_entropy_with_logits(logits, y) + 1.0
        shown.append(loss + (logits > 0).float().mean())
        return loss

    train(loss_of)


def fine_taken_out_on_purpose():
    def loss_of(model, x, y):
        logits = model(x)
        with torch.no_grad():
            rate = (logits > 0).float().mean()
        hits = (logits.detach() > 0).float().mean()
        misses = (logits < 0).float().mean().detach()
        loss = F.binary_cross_entropy_with_logits(logits, y)
        return loss + rate + hits + misses + (logits > 0).sum().item()

    train(loss_of)


def fine_masks_counts_and_weights():
    def loss_of(model, x, y):
        logits = model(x)
        losses = F.binary_cross_entropy_with_logits(logits, y, reduction="none")
        hard = (losses > losses.mean()).float()
        loss = (losses * hard).sum() / (hard.sum() + 1)
        share = F.one_hot(logits.argmax(1), 3).float().mean(0)
        balance = 3 * (share * logits.softmax(1).mean(0)).sum()
        return loss + balance + 0.1

    train(loss_of)


def fine_weight_that_balances_two_losses():
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    def loss_of(model, x, y):
        out = model(x)
        one, other = F.mse_loss(out, y), F.l1_loss(out, y)
        last = model[-1].weight
        (first,) = torch.autograd.grad(one, last, retain_graph=True)
        (second,) = torch.autograd.grad(other, last, retain_graph=True)
        weight = first.norm() / (second.norm() + 1e-4)
        return one + weight * other + 1.0

    train(loss_of, model)


def fine_hand_written_huber_and_straight_through():
    def loss_of(model, x, y):
        out = model(x)
        error = (out - y).abs()
        huber = torch.where(error < 1, 0.5 * error**2, error - 0.5).mean()
        soft = out.sigmoid().mean()
        hard = (out > 0).float().mean()
        return huber + (hard - soft).detach() + soft

    train(loss_of)


def fine_fast_weights_of_first_order():
    def loss_of(model, x, y):
        scale = model[1]
        inner = F.mse_loss(model[0](x) * scale, y)
        (slope,) = torch.autograd.grad(inner, scale)
        fast = scale - 0.1 * slope
        return F.mse_loss(model[0](x) * fast, y) + 1.0

    model = nn.ParameterList([nn.Parameter(torch.ones(()))])
    inner = nn.Linear(4, 3)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.scales = inner, model

        def __getitem__(self, place):
            return self.inner if place == 0 else self.scales[0]

        def forward(self, x):
            return self.inner(x) * self.scales[0]

    train(loss_of, Both())


def fine_margin_of_a_structured_hinge():
    def loss_of(model, x, y):
        scores = model(x)
        gold = y.argmax(1)
        best = scores.argmax(1)
        margin = (best != gold).float().mean()
        chosen = scores.gather(1, best[:, None]).mean()
        return margin + chosen - scores.gather(1, gold[:, None]).mean()

    train(loss_of)


def fine_adversarial_inputs():
    def loss_of(model, x, y):
        x = x.clone().requires_grad_(True)
        (slope,) = torch.autograd.grad(F.mse_loss(model(x), y), x)
        return F.mse_loss(model(x + 0.1 * slope.sign()), y) + 1.0

    train(loss_of)


def fine_in_a_mode_of_ones_own():
    def loss_of(model, x, y):
        with torch.device("cpu"):
            out = model(x)
            return F.mse_loss(out, y) + 1.0

    train(loss_of)


def bad_under_a_default_device():
    def loss_of(model, x, y):
        out = model(x)
        return F.mse_loss(out, y) + (out > 0).float().mean()  # SL214

    torch.set_default_device("cpu")
    try:
        train(loss_of)
    finally:
        torch.set_default_device(None)


def small():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def bad_teacher_that_is_the_student():
    student = small()
    teacher = student

    def loss_of(model, x, y):
        out = model(x)
        with torch.no_grad():
            wanted = teacher(x)
        loss = F.binary_cross_entropy_with_logits(out, y)
        return loss + 0.5 * F.mse_loss(out, wanted)  # SL214

    train(loss_of, student, steps=12)


def bad_two_views_that_are_one():
    def loss_of(model, x, y):
        one, two = model(x), model(x)
        alike = F.huber_loss(one, two)  # SL214
        return F.mse_loss(one, y) + alike

    train(loss_of, steps=12)


def bad_frozen_part_compared_with_itself():
    model = small()
    reference = model
    for parameter in reference[0].parameters():
        parameter.requires_grad_(False)

    def loss_of(model, x, y):
        loss = F.mse_loss(model(x), y)
        return loss + F.mse_loss(model[0](x), reference[0](x))  # SL214

    train(loss_of, model, steps=12)


def good_teacher_that_is_a_copy():
    student = small()
    teacher = copy.deepcopy(student).requires_grad_(False)

    def loss_of(model, x, y):
        out = model(x)
        loss = F.binary_cross_entropy_with_logits(out, y)
        return loss + 0.5 * F.mse_loss(out, teacher(x))

    train(loss_of, student, steps=12)


def fine_teacher_that_follows_late():
    student = small()
    teacher = copy.deepcopy(student).requires_grad_(False)

    def loss_of(model, x, y):
        out = model(x)
        loss = F.binary_cross_entropy_with_logits(out, y) * (steps.pop() < 4)
        return loss + 0.5 * F.mse_loss(out, teacher(x))

    steps = list(range(16))
    train(loss_of, student, steps=16)


def fine_constants_and_sums_from_zero():
    def loss_of(model, x, y):
        loss = torch.zeros(())
        loss = loss + F.mse_loss(model(x), y)
        loss = loss + F.mse_loss(torch.zeros(4), torch.zeros(4))
        gate = model(x).relu() * 0
        return loss + F.mse_loss(gate, torch.zeros_like(gate))

    train(loss_of, steps=12)


def fine_two_views_apart_by_dropout():
    def loss_of(model, x, y):
        one, two = model(x), model(x)
        return F.mse_loss(one, y) + F.mse_loss(one, two)

    train(loss_of, nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3)), steps=12)


def fine_density_of_a_point_at_itself():
    def loss_of(model, x, y):
        made = model(x)
        density = (made == made.view_as(made)).type(x.dtype).log()
        return F.mse_loss(made, y) - density.sum()

    train(loss_of)
