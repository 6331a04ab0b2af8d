"""Schedulers: which learning rate a step really uses."""

import torch
from torch import nn, optim
from torch.optim import lr_scheduler

from steplens.lab.base import claim
from steplens.lab.helpers import raised


@claim(
    "With `scheduler.step()` before `optimizer.step()` the first learning rate is used, too.",
    number="lr {given} given; the first two steps use {used}",
    holds=lambda given, used: used[0] == given,
    truth="The scheduler moves on before the first step, so the first rate is never used. "
    "torch warns once. Since 1.1 the order is `optimizer.step()`, then `scheduler.step()`.",
)
def a_scheduler_may_step_first():
    optimizer = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.5)
    used = []
    for _ in range(2):
        scheduler.step()
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
    return {"given": 1.0, "used": used}


@claim(
    "Making a scheduler leaves the learning rate alone until its first `step()`.",
    number="lr {before} before, {after} after `LinearLR(...)` was made",
    holds=lambda before, after: before == after,
    truth="A scheduler sets the rate of its first period when it is made: a warm-up begins at "
    "once. Two schedulers on one optimizer both do so, and the last one made wins.",
)
def making_a_scheduler_changes_nothing():
    optimizer = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    before = optimizer.param_groups[0]["lr"]
    lr_scheduler.LinearLR(optimizer, start_factor=0.25)
    return {"before": before, "after": optimizer.param_groups[0]["lr"]}


@claim(
    "`CosineAnnealingLR` stays at its lowest rate when it is stepped on.",
    number="T_max=4: lr {at_end} after 4 steps, {at_double} after 8",
    holds=lambda at_end, at_double: abs(at_double - at_end) < 1e-6,
    truth="The cosine goes on: past `T_max` the rate rises again, back to the start at twice "
    "its length. A schedule counted in epochs and stepped per batch swings up and down.",
)
def cosine_stays_low():
    optimizer = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler, rates = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4), []
    for _ in range(8):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return {"at_end": rates[3], "at_double": rates[7]}


@claim(
    "`OneCycleLR` stops with an error when it is stepped past its length.",
    number="step 3 of 3: {within}; step 4: {past}",
    holds=lambda within, past: within == "no error" and past.startswith("ValueError"),
    truth="It knows its length and refuses to go on. It is the only one that does: the others "
    "repeat, rise again or stay at their last rate in silence.",
)
def one_cycle_ends_with_an_error():
    optimizer = optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=3)
    steps = []
    for _ in range(4):
        optimizer.step()
        steps.append(raised(scheduler.step))
    return {"within": steps[2], "past": steps[3]}


@claim(
    "A new rate written into `param_groups` lasts under a scheduler.",
    number="lr {written} written, halved by `ExponentialLR` to {chained}, by `LambdaLR` to "
    "{closed}",
    only_if="the scheduler goes on from the present rate, as `ExponentialLR` does",
    holds=lambda chained: abs(chained - 0.05) < 1e-9,
    elsewhere=lambda closed: abs(closed - 0.05) < 1e-9,
    truth="Chained schedules multiply the present rate; `LambdaLR` and `OneCycleLR` compute "
    "it anew from the rate at the start, and overwrite what you wrote.",
)
def a_rate_written_by_hand_lasts():
    optimizers = [optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0) for _ in range(2)]
    chained = lr_scheduler.ExponentialLR(optimizers[0], 0.5)
    closed = lr_scheduler.LambdaLR(optimizers[1], lambda period: 0.5**period)
    for optimizer, scheduler in zip(optimizers, (chained, closed), strict=True):
        optimizer.param_groups[0]["lr"] = 0.1
        optimizer.step()
        scheduler.step()
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    return {"written": 0.1, "chained": rates[0], "closed": rates[1]}
