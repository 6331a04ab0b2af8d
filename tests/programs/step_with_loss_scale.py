"""SL208 step-with-loss-scale. `# SL208` marks where the finding must point."""

import torch
from torch import nn


def build(kind=torch.optim.SGD, **options):
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    return model, kind(model.parameters(), lr=1e-6, **options)


def loss_of(model):
    x = torch.randn(8, 4)
    return nn.functional.mse_loss(model(x), x.sum(1, keepdim=True))


def bad_step_of_the_optimizer_itself():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for _ in range(6):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        optimizer.step()  # SL208


def bad_last_rest_of_an_accumulation():
    model, optimizer = build(torch.optim.AdamW)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0)
    for _ in range(3):
        for _ in range(2):
            scaler.scale(loss_of(model) / 2).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        scaler.scale(loss_of(model) / 2).backward()
        optimizer.step()  # SL208
        optimizer.zero_grad()


def good_step_of_the_scaler():
    for options in ({}, {"momentum": 0.9}, {"fused": True}):
        model, optimizer = build(**options)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for _ in range(4):
            optimizer.zero_grad()
            scaler.scale(loss_of(model)).backward()
            scaler.step(optimizer)
            scaler.update()


def fine_unscaled_before_it():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for _ in range(4):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scaler.update()


def fine_divided_by_hand():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for number in range(6):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        for p in model.parameters():
            if number % 2:
                p.grad.div_(scaler.get_scale())
            else:
                p.grad = p.grad / scaler.get_scale()
        optimizer.step()


def fine_divided_by_the_foreach_function():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for _ in range(4):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        torch._foreach_mul_([p.grad for p in model.parameters()], 1 / 1024.0)
        optimizer.step()


def fine_divided_by_hooks():
    model, optimizer = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for p in model.parameters():
        p.register_hook(lambda grad: grad / 1024.0)
    for _ in range(4):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        optimizer.step()


def fine_optimizer_that_divides_itself():
    class Scaled(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = p.grad / 1024.0
            return super().step(closure)

    model, optimizer = build(Scaled)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for _ in range(4):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        optimizer.step()


def fine_scaler_that_is_off():
    model, optimizer = build()
    for scaler in (
        torch.amp.GradScaler("cpu", enabled=False),
        torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=1000),
    ):
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(loss_of(model)).backward()
            optimizer.step()


def fine_another_optimizer_with_a_loss_of_its_own():
    model, optimizer = build()
    critic, other = build()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for _ in range(5):
        optimizer.zero_grad()
        scaler.scale(loss_of(model)).backward()
        scaler.step(optimizer)
        scaler.update()
        other.zero_grad()
        loss_of(critic).backward()
        other.step()
