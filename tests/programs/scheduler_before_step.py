"""SL305 scheduler-before-step. `# SL305` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.optim import lr_scheduler


def build():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer


def learn(model, optimizer, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_at_the_top_of_the_epoch():
    model, optimizer = build()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    for _ in range(4):
        scheduler.step()  # SL305
        learn(model, optimizer)


def bad_before_each_step():
    model, optimizer = build()
    scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(6):
        optimizer.zero_grad()
        (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
        scheduler.step()  # SL305
        optimizer.step()


def good_after_the_steps():
    model, optimizer = build()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    for _ in range(4):
        learn(model, optimizer)
        scheduler.step()


def fine_brought_forward():
    model, optimizer = build()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    for _ in range(3):
        scheduler.step()
    for _ in range(3):
        learn(model, optimizer)
        scheduler.step()


def fine_brought_forward_by_one():
    model, optimizer = build()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    scheduler.step()
    for _ in range(3):
        learn(model, optimizer)
        scheduler.step()


def fine_epoch_given():
    model, optimizer = build()
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    for epoch in range(3):
        scheduler.step(epoch)
        learn(model, optimizer)


def fine_first_step_held_back_by_the_scaler():
    model, optimizer = build()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    for step in range(4):
        optimizer.zero_grad()
        loss = (model(torch.randn(8, 4)) - 1).pow(2).mean()
        scaler.scale(loss * (1e10 if not step else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update(1.0)
        scheduler.step()


def fine_plateau_after_evaluation():
    model, optimizer = build()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
    for _ in range(4):
        learn(model, optimizer)
        scheduler.step(1.0)


def fine_two_optimizers_one_waits():
    model, optimizer = build()
    other, second = build()
    schedulers = [lr_scheduler.StepLR(o, 10) for o in (optimizer, second)]
    for epoch in range(4):
        learn(model, optimizer)
        if epoch > 1:
            learn(other, second)
            schedulers[1].step()
        schedulers[0].step()


def bad_one_loop_for_two_models():
    for _ in range(2):
        model = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        for _epoch in range(3):
            scheduler.step()  # SL305
            for _batch in range(2):
                optimizer.zero_grad()
                model(torch.randn(4, 2)).pow(2).mean().backward()
                optimizer.step()


def fine_first_steps_left_out_by_the_program():
    model, optimizer = build()
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    for number in range(6):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        if number > 0:  # as a loss too large would do
            optimizer.step()
        scheduler.step()


def bad_between_backward_and_step():
    model, optimizer = build()
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    for _ in range(6):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        scheduler.step()  # SL305
        optimizer.step()
