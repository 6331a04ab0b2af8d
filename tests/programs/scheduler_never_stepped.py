"""SL307 scheduler-never-stepped. `# SL307` marks the lines at which the finding must point."""

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset


def build():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.randn(24, 4)), batch_size=8)
    return model, optimizer, loader


def epoch(model, optimizer, batches):
    for batch in batches:
        optimizer.zero_grad()
        (model(batch[0]) - 1).pow(2).mean().backward()
        optimizer.step()


def bad_made_and_forgotten():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.StepLR(optimizer, 2)  # SL307
    for _ in range(4):
        epoch(model, optimizer, loader)
    assert scheduler.get_last_lr()


def bad_without_a_loader():
    model, optimizer, _ = build()
    lr_scheduler.CosineAnnealingLR(optimizer, 60)  # SL307
    epoch(model, optimizer, [(torch.randn(8, 4),) for _ in range(60)])


def bad_one_of_two():
    model, optimizer, loader = build()
    other = nn.Linear(4, 2)
    second = torch.optim.Adam(other.parameters())
    first = lr_scheduler.StepLR(optimizer, 2)
    lr_scheduler.StepLR(second, 2)  # SL307
    for _ in range(4):
        epoch(model, optimizer, loader)
        epoch(other, second, loader)
        first.step()


def bad_method_named_and_not_called():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    for _ in range(4):
        epoch(model, optimizer, loader)
        scheduler.step  # SL515


def bad_beside_one_of_another_name():
    model, optimizer, loader = build()
    other = nn.Linear(4, 2)
    second = torch.optim.Adam(other.parameters())
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    decay = lr_scheduler.StepLR(second, 2)  # SL307
    for _ in range(4):
        epoch(model, optimizer, loader)
        epoch(other, second, loader)
        scheduler.step()
    assert decay.get_last_lr()


def good_stepped():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    for _ in range(4):
        epoch(model, optimizer, loader)
        scheduler.step()


def fine_in_sequence():
    model, optimizer, loader = build()
    warm = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=10)
    then = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    scheduler = lr_scheduler.SequentialLR(optimizer, [warm, then], [10])
    for _ in range(4):
        epoch(model, optimizer, loader)
        scheduler.step()


def fine_chained():
    model, optimizer, loader = build()
    parts = [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    scheduler = lr_scheduler.ChainedScheduler(parts)
    for _ in range(4):
        epoch(model, optimizer, loader)
        scheduler.step()


def fine_steps_late():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.StepLR(optimizer, 2)
    for number in range(6):
        epoch(model, optimizer, loader)
        if number >= 4:
            scheduler.step()


def fine_after_a_warm_up_that_the_run_does_not_end():
    class Trainer:
        def __init__(self, parts, scheduler):
            self.parts = parts
            self.scheduler = scheduler

        def fit(self, epochs, after=()):
            seen = ()
            for number in range(epochs):
                epoch(*self.parts)
                seen = (*seen, number)
                if number >= 10:
                    self.scheduler.step()
            return seen + after

    model, optimizer, loader = build()
    decay = lr_scheduler.StepLR(optimizer, 2)
    Trainer((model, optimizer, loader), decay).fit(4)


def fine_waits_for_a_plateau_of_its_own():
    model, optimizer, _ = build()
    decay = lr_scheduler.StepLR(optimizer, 2)
    for number in range(60):
        epoch(model, optimizer, [(torch.randn(8, 4),)])
        if number > 100:
            decay.step()


def fine_short_run():
    model, optimizer, loader = build()
    lr_scheduler.StepLR(optimizer, 2)
    epoch(model, optimizer, loader)


def fine_own_class_with_its_own_step():
    class Decay(lr_scheduler.LRScheduler):
        def get_lr(self):
            return [0.1 for _ in self.base_lrs]

        def step(self, epoch=None):
            for group in self.optimizer.param_groups:
                group["lr"] *= 0.9

    model, optimizer, loader = build()
    scheduler = Decay(optimizer)
    for _ in range(4):
        epoch(model, optimizer, loader)
        scheduler.step()


def fine_of_an_optimizer_that_waits():
    model, optimizer, loader = build()
    second = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1)
    schedulers = [lr_scheduler.StepLR(optimizer, 2), lr_scheduler.StepLR(second, 2)]
    for _ in range(4):
        epoch(model, optimizer, loader)
        schedulers[0].step()


def bad_rate_set_on_the_optimizer():
    model, optimizer, loader = build()
    for number in range(8):
        optimizer.lr = 0.1 * 0.5**number  # SL307
        epoch(model, optimizer, loader)


def bad_rate_set_in_the_defaults():
    model, optimizer, loader = build()
    for number in range(8):
        optimizer.defaults["lr"] = 0.1 * 0.5**number  # SL307
        epoch(model, optimizer, loader)


def fine_rate_of_an_optimizer_of_ones_own():
    class Own(torch.optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": 0.1})
            self.lr = 0.05

        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.sub_(p.grad, alpha=self.lr)

    model, _, loader = build()
    optimizer = Own(model.parameters())
    for number in range(8):
        optimizer.lr = 0.05 * 0.5**number
        epoch(model, optimizer, loader)


def fine_rate_kept_beside_the_groups():
    model, optimizer, loader = build()
    for number in range(8):
        optimizer.lr = 0.1 * 0.5**number
        for group in optimizer.param_groups:
            group["lr"] = optimizer.lr
        epoch(model, optimizer, loader)


def bad_rate_set_by_a_function_of_its_own():
    def set_rate(optimizer, rate):
        optimizer.lr = rate  # SL307

    model, optimizer, loader = build()
    for number in range(8):
        set_rate(optimizer, 0.1 * 0.5**number)
        epoch(model, optimizer, loader)
