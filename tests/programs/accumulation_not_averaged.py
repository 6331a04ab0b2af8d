"""SL207 accumulation-not-averaged. `# SL207` marks the lines at which the finding must point."""

import torch
import torch.nn.functional as F
from torch import nn


def build():
    model = nn.Linear(4, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.01)


def batch():
    return torch.randn(16, 4), torch.randint(0, 3, (16,))


def bad_cross_entropy():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            F.cross_entropy(model(x), y).backward()  # SL207
        optimizer.step()


def bad_mean_of_two_terms():
    model, optimizer = build()
    for step in range(1, 7):
        x, y = batch()
        loss = F.cross_entropy(model(x), y) + F.mse_loss(model(x), torch.zeros(16, 3))
        loss.backward()  # SL207
        if step % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()


def bad_scaled_by_a_grad_scaler_alone():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for step in range(1, 13):
        x, y = batch()
        scaler.scale(F.cross_entropy(model(x), y)).backward()  # SL207
        if step % 4 == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def good_divided():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            (F.cross_entropy(model(x), y) / 4).backward()
        optimizer.step()


def fine_summed():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            F.cross_entropy(model(x), y, reduction="sum").backward()
        optimizer.step()


def fine_weighted_by_gradient():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            F.cross_entropy(model(x), y).backward(gradient=torch.tensor(0.25))
        optimizer.step()


def fine_divided_by_hand():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            F.cross_entropy(model(x), y).backward()
        for parameter in model.parameters():
            parameter.grad /= 4
        optimizer.step()


def fine_different_losses():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        x, y = batch()
        F.cross_entropy(model(x), y).backward()
        F.mse_loss(model(x), torch.zeros(16, 3)).backward()
        optimizer.step()


def fine_scaled_by_a_factor():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            (0.25 * F.cross_entropy(model(x), y)).backward()
        optimizer.step()


def fine_divided_and_scaled_by_a_grad_scaler():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for step in range(1, 13):
        x, y = batch()
        scaler.scale(F.cross_entropy(model(x), y) / 4).backward()
        if step % 4 == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def bad_a_mean_beside_a_weighted_term():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            out = model(x)
            (F.cross_entropy(out, y) + 0.1 * out.pow(2).mean()).backward()  # SL207
        optimizer.step()


def fine_a_divided_sum_of_two_means():
    model, optimizer = build()
    for _ in range(3):
        optimizer.zero_grad()
        for _ in range(4):
            x, y = batch()
            out = model(x)
            ((F.cross_entropy(out, y) + 0.1 * out.pow(2).mean()) / 4).backward()
        optimizer.step()


def bad_divided_twice():
    model, optimizer = build()
    for _ in range(3):
        for _ in range(4):
            loss = F.cross_entropy(model(torch.randn(8, 4)), torch.randint(3, (8,))) / 4
            (loss / 4).backward()  # SL207
        optimizer.step()
        optimizer.zero_grad()


def fine_a_weight_of_half_divided_by_two():
    model, optimizer = build()
    for _ in range(3):
        for _ in range(2):
            loss = F.cross_entropy(model(torch.randn(8, 4)), torch.randint(3, (8,))) / 2
            (loss / 2).backward()
        optimizer.step()
        optimizer.zero_grad()
