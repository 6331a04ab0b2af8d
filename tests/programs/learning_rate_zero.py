"""SL306 learning-rate-zero. `# SL306` marks the lines at which the finding must point."""

import math

import torch
from torch import nn
from torch.optim import lr_scheduler


def build(lr=0.1):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    return model, optimizer


def learn(model, optimizer):
    optimizer.zero_grad()
    (model(torch.randn(8, 4)) - 1).pow(2).mean().backward()
    optimizer.step()


def bad_schedule_over_before_the_run():
    model, optimizer = build()
    scheduler = lr_scheduler.PolynomialLR(optimizer, total_iters=10)
    for _ in range(20):
        learn(model, optimizer)
        scheduler.step()  # SL306


def bad_straight_line_of_epochs_with_each_batch():
    model, optimizer = build()
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - epoch / 10)
    for _ in range(60):
        learn(model, optimizer)
        scheduler.step()  # SL306


def fine_straight_line_to_the_end():
    model, optimizer = build()
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - max(0, epoch - 8) / 10)
    for _ in range(18):
        learn(model, optimizer)
        scheduler.step()


def bad_steps_of_epochs_with_each_batch():
    model, optimizer = build()
    scheduler = lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.1)
    for _ in range(90):
        learn(model, optimizer)
        scheduler.step()  # SL306


def bad_rate_of_a_saved_schedule_that_had_ended():
    model, optimizer = build()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for _ in range(10):
        learn(model, optimizer)
        scheduler.step()
    saved = optimizer.state_dict()
    second = torch.optim.SGD(model.parameters(), lr=0.05)
    second.load_state_dict(saved)  # SL306
    for _ in range(20):
        learn(model, second)


def good_rate_set_anew_after_the_load():
    model, optimizer = build()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for _ in range(10):
        learn(model, optimizer)
        scheduler.step()
    second = torch.optim.SGD(model.parameters(), lr=0.05)
    second.load_state_dict(optimizer.state_dict())
    for group in second.param_groups:
        group["lr"] = 0.05
    for _ in range(20):
        learn(model, second)


def bad_whole_division_in_the_warm_up():
    model, optimizer = build()
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step // 100))
    for _ in range(12):
        learn(model, optimizer)
        scheduler.step()  # SL306


def bad_whole_division_until_the_warm_up_is_over():
    model, optimizer = build()
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step // 8))
    for _ in range(16):
        learn(model, optimizer)
        scheduler.step()  # SL306


def bad_made_with_zero():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)  # SL306
    for _ in range(6):
        learn(model, optimizer)


def good_schedule_over_the_run():
    model, optimizer = build()
    scheduler = lr_scheduler.PolynomialLR(optimizer, total_iters=20)
    for _ in range(20):
        learn(model, optimizer)
        scheduler.step()


def fine_warm_up_from_zero():
    model, optimizer = build()
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 5))
    for _ in range(12):
        learn(model, optimizer)
        scheduler.step()


def fine_warm_up_by_hand():
    model, optimizer = build(0.0)
    for step in range(12):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * min(1.0, step / 5)
        learn(model, optimizer)


def fine_one_group_at_zero():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[1].parameters()}], lr=0.1
    )
    for _ in range(6):
        learn(model, optimizer)


def fine_cosine_to_zero():
    model, optimizer = build()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for _ in range(21):
        learn(model, optimizer)
        scheduler.step()


def fine_restarts():
    model, optimizer = build()
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=5)
    for _ in range(30):
        learn(model, optimizer)
        scheduler.step()


def fine_one_cycle():
    model, optimizer = build()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=30)
    for _ in range(30):
        learn(model, optimizer)
        scheduler.step()


def fine_plateau():
    model, optimizer = build()
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.1, min_lr=1e-6)
    for _ in range(30):
        learn(model, optimizer)
        scheduler.step(1.0)


def fine_last_step_at_zero():
    model, optimizer = build()
    scheduler = lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=30)
    for _ in range(31):
        learn(model, optimizer)
        scheduler.step()


def fine_without_a_rate():
    class Sign(torch.optim.Optimizer):
        def __init__(self, parameters):
            super().__init__(parameters, {"size": 0.01})

        def step(self):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.data.sub_(group["size"] * parameter.grad.sign())

    model = nn.Linear(4, 2)
    optimizer = Sign(model.parameters())
    for _ in range(6):
        learn(model, optimizer)


def bad_decay_by_hand_with_each_batch():
    model, optimizer = build()
    for _ in range(4):
        for _ in range(40):
            learn(model, optimizer)
            for group in optimizer.param_groups:
                group["lr"] *= 0.8  # SL306


def bad_formula_of_epochs_given_the_batch():
    model, optimizer = build()
    for batch in range(90):
        rate = 0.1 * 0.1 ** (batch // 5)
        for group in optimizer.param_groups:
            group["lr"] = rate  # SL306
        learn(model, optimizer)


def fine_decay_by_hand_with_each_epoch():
    model, optimizer = build()
    for _ in range(6):
        for _ in range(20):
            learn(model, optimizer)
        optimizer.param_groups[0]["lr"] *= 0.8


def fine_switched_off_for_a_phase():
    model, optimizer = build()
    other = torch.optim.SGD(model.parameters(), lr=0.1)
    for number in range(60):
        if number == 10:
            for group in optimizer.param_groups:
                group["lr"] = 1e-12
        optimizer.step()
        learn(model, other)


def fine_cosine_by_hand_to_its_end():
    model, optimizer = build()
    for number in range(80):
        rate = 0.05 * (1 + math.cos(math.pi * number / 79))
        optimizer.param_groups[0]["lr"] = rate
        learn(model, optimizer)


def fine_decay_by_hand_with_restarts():
    model, optimizer = build()
    for _ in range(3):
        optimizer.param_groups[0]["lr"] = 0.1
        for _ in range(60):
            learn(model, optimizer)
            optimizer.param_groups[0]["lr"] *= 0.7


def bad_next_to_nothing_for_the_last_third():
    model, optimizer = build()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.8)
    for _ in range(100):
        learn(model, optimizer)
        scheduler.step()  # SL306


def fine_next_to_nothing_for_the_last_few():
    model, optimizer = build()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.8)
    for _ in range(80):
        learn(model, optimizer)
        scheduler.step()


def fine_a_part_frozen_by_an_optimizer_at_zero():
    """A note: it may be meant."""
    body, head = nn.Linear(4, 8), nn.Linear(8, 2)
    of_body = torch.optim.SGD(body.parameters(), lr=0.0)  # SL306
    of_head = torch.optim.SGD(head.parameters(), lr=0.1)
    for _ in range(8):
        of_body.zero_grad()
        of_head.zero_grad()
        head(body(torch.randn(8, 4))).pow(2).mean().backward()
        of_body.step()
        of_head.step()


def fine_rates_tried_in_turn_with_zero_to_compare_with():
    for rate in (0.0, 0.01, 0.1):
        model, optimizer = build(rate)
        for _ in range(6):
            learn(model, optimizer)


def bad_one_of_two_networks_at_zero():
    maker, judge = nn.Linear(3, 4), nn.Linear(4, 1)
    of_maker = torch.optim.Adam(maker.parameters(), lr=1e-3)
    of_judge = torch.optim.Adam(judge.parameters(), lr=1 // 1000)  # SL306
    for _ in range(6):
        fake = maker(torch.randn(8, 3))
        of_judge.zero_grad()
        (judge(torch.randn(8, 4)).mean() - judge(fake.detach()).mean()).backward()
        of_judge.step()
        of_maker.zero_grad()
        judge(fake).mean().backward()
        of_maker.step()


def fine_no_rate_while_it_is_judged():
    model, optimizer = build()
    for _ in range(8):
        for rate in (0.1, 0.0):
            optimizer.param_groups[0]["lr"] = rate
            for _ in range(4):
                learn(model, optimizer)


def bad_restarts_that_stop():
    model, optimizer = build()
    for step in range(60):
        optimizer.param_groups[0]["lr"] = 0.1 if step < 30 and step % 10 < 8 else 0.0  # SL306
        learn(model, optimizer)


def bad_function_that_gives_the_rate():
    model, optimizer = build(0.01)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.01 * 0.9**epoch)  # SL306
    for _ in range(6):
        for _ in range(3):
            learn(model, optimizer)
        scheduler.step()


def bad_warm_up_that_gives_the_rate():
    model, optimizer = build(0.01)
    scheduler = lr_scheduler.LambdaLR(  # SL306
        optimizer, lambda step: 0.01 * min(1.0, (step + 1) / 5)
    )
    for _ in range(20):
        learn(model, optimizer)
        scheduler.step()


def fine_warm_up_cut_off_at_a_factor_like_the_rate():
    model, optimizer = build(0.01)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / 1000)
    for _ in range(10):
        learn(model, optimizer)
        scheduler.step()


def fine_function_that_gives_a_factor():
    model, optimizer = build(0.01)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)
    for _ in range(6):
        learn(model, optimizer)
        scheduler.step()
