"""SL308 scheduler-out-of-cadence. `# SL308` marks the lines at which the finding must point."""

import functools
import math

import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset


def build(samples=240):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.randn(samples, 4)), batch_size=8)
    return model, optimizer, loader


def learn(model, optimizer, batch):
    optimizer.zero_grad()
    (model(batch[0]) - 1).pow(2).mean().backward()
    optimizer.step()


def bad_cosine_of_epochs_with_each_batch():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    for _ in range(8):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()  # SL308


def bad_cosine_without_a_loader():
    model, optimizer, _ = build()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    for _ in range(100):
        learn(model, optimizer, (torch.randn(8, 4),))
        scheduler.step()  # SL308


def bad_one_cycle_of_batches_with_each_epoch():
    model, optimizer, loader = build(160)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=5, steps_per_epoch=len(loader))
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()  # SL308


def bad_sequence_of_batches_with_each_epoch():
    model, optimizer, loader = build(160)
    warm = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=20)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, T_max=140)
    scheduler = lr_scheduler.SequentialLR(optimizer, [warm, cosine], milestones=[20])
    for _ in range(8):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()  # SL308


def bad_one_cycle_of_batches_with_each_accumulated_step():
    model, optimizer, loader = build(192)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=4, steps_per_epoch=len(loader))
    for _ in range(4):
        for i, batch in enumerate(loader):
            ((model(batch[0]) - 1).pow(2).mean() / 4).backward()
            if (i + 1) % 4 == 0:
                optimizer.step()
                scheduler.step()  # SL308
                optimizer.zero_grad()


def bad_cosine_of_batches_with_every_second_batch():
    model, optimizer, loader = build(192)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4 * len(loader))
    for _ in range(4):
        for i, batch in enumerate(loader):
            ((model(batch[0]) - 1).pow(2).mean() / 2).backward()
            if (i + 1) % 2 == 0:
                optimizer.step()
                scheduler.step()  # SL308
                optimizer.zero_grad()


def good_one_cycle_of_accumulated_steps():
    model, optimizer, loader = build(192)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=4 * len(loader) // 4)
    for _ in range(4):
        for i, batch in enumerate(loader):
            ((model(batch[0]) - 1).pow(2).mean() / 4).backward()
            if (i + 1) % 4 == 0:
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()


def bad_warm_up_that_writes_over_the_plateau():
    model, optimizer, loader = build()
    warm = lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for _ in range(6):
        for batch in loader:
            learn(model, optimizer, batch)
            warm.step()  # SL308
        plateau.step(1.0)


def good_warm_up_that_ends_before_the_plateau():
    model, optimizer, loader = build()
    warm = lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    step = 0
    for _ in range(6):
        for batch in loader:
            learn(model, optimizer, batch)
            if step < 20:
                warm.step()
            step += 1
        plateau.step(1.0)


def fine_factors_that_multiply_what_the_plateau_leaves():
    model, optimizer, loader = build()
    decay = lr_scheduler.ExponentialLR(optimizer, 0.999)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    for _ in range(6):
        for batch in loader:
            learn(model, optimizer, batch)
            decay.step()
        plateau.step(1.0)


def fine_half_a_cosine():
    model, optimizer, loader = build(192)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=8 * len(loader))
    for _ in range(4):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()


def bad_one_cycle_of_samples_with_each_batch():
    model, optimizer, loader = build(192)
    samples = len(loader.dataset)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=3, steps_per_epoch=samples)
    for _ in range(3):
        for batch in DataLoader(loader.dataset, batch_size=24, shuffle=True):
            learn(model, optimizer, batch)
            scheduler.step()  # SL308


def bad_polynomial_of_samples_with_each_batch():
    model, optimizer, loader = build(192)
    loader = DataLoader(loader.dataset, batch_size=16, shuffle=True)
    scheduler = lr_scheduler.PolynomialLR(optimizer, 4 * len(loader.dataset))
    for _ in range(4):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()  # SL308


def fine_long_schedule_of_batches():
    model, optimizer, loader = build(192)
    scheduler = lr_scheduler.PolynomialLR(optimizer, 10000)
    for _ in range(4):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()


def fine_schedule_of_samples_read_one_by_one():
    model, optimizer, loader = build(48)
    loader = DataLoader(loader.dataset, batch_size=1)
    scheduler = lr_scheduler.PolynomialLR(optimizer, 2 * len(loader.dataset))
    for _ in range(2):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()


def bad_loss_given_as_the_epoch():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.9)
    for epoch in range(6):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step(torch.tensor(2.5 / (epoch + 2)))  # SL308


def fine_fractions_of_epochs_given():
    model, optimizer, loader = build(80)
    scheduler = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2)
    for epoch in range(5):
        for place, batch in enumerate(loader):
            learn(model, optimizer, batch)
            scheduler.step(epoch + place / len(loader))


def fine_epochs_given_again():
    model, optimizer, loader = build(80)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 3)
    for _ in range(4):
        for epoch in range(3):
            for batch in loader:
                learn(model, optimizer, batch)
            scheduler.step(epoch)


def good_cosine_of_epochs():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def good_one_cycle_of_batches():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, epochs=3, steps_per_epoch=len(loader))
    for _ in range(3):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()


def fine_cosine_as_a_cycle_of_epochs():
    model, optimizer, loader = build(24)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
    for _ in range(14):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_cosine_as_a_cycle_of_whole_passes():
    model, optimizer, loader = build(80)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(loader))
    for _ in range(6):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()


def fine_linear_warm_up():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=5)
    for _ in range(2):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()


def bad_cosine_of_few_batches_with_each_epoch():
    model, optimizer, loader = build(60)
    length = 6 * len(loader)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=length)
    for _ in range(6):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()  # SL308


def fine_as_many_epochs_as_there_are_batches():
    model, optimizer, loader = build(60)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(loader))
    for _ in range(len(loader)):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_stopped_early():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=1000)
    for batch in loader:
        learn(model, optimizer, batch)
        scheduler.step()


def fine_long_schedule_of_epochs():
    model, optimizer, loader = build(80)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=200)
    for _ in range(4):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_schedule_of_epochs_in_a_run_cut_short():
    model, optimizer, loader = build()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
    for _ in range(3):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_in_sequence():
    model, optimizer, loader = build()
    warm = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=40)
    then = lr_scheduler.CosineAnnealingLR(optimizer, 400)
    scheduler = lr_scheduler.SequentialLR(optimizer, [warm, then], [40])
    for batch in loader:
        learn(model, optimizer, batch)
        scheduler.step()


def bad_schedule_made_anew_in_each_epoch():
    model, optimizer, loader = build()
    for _ in range(12):
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()  # SL308


def bad_milestones_in_batches_stepped_with_epochs():  # a note
    model, optimizer, loader = build(160)
    scheduler = lr_scheduler.MultiStepLR(optimizer, [60, 80])
    for _ in range(6):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()  # SL308


def fine_milestones_in_epochs():
    model, optimizer, loader = build(160)
    scheduler = lr_scheduler.MultiStepLR(optimizer, [3, 5])
    for _ in range(6):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def bad_stepped_by_the_epoch_and_by_its_caller():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)

    def epoch():
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()

    for _ in range(4):
        epoch()
        scheduler.step()  # SL308


def bad_stepped_with_batches_and_with_epochs():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.ExponentialLR(optimizer, 0.999)
    for _ in range(4):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()
        scheduler.step()  # SL308


def fine_stepped_at_either_of_two_lines():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    for epoch in range(8):
        for batch in loader:
            learn(model, optimizer, batch)
        if epoch < 4:
            scheduler.step()
        else:
            scheduler.step()


def fine_gone_forward_to_where_a_run_had_ended():
    model, optimizer, loader = build()
    scheduler = lr_scheduler.StepLR(optimizer, 4)
    for _ in range(4):
        scheduler.step()
    for _ in range(4):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_two_schedules_of_one_optimizer():
    model, optimizer, loader = build()
    warm = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=20)
    decay = lr_scheduler.ExponentialLR(optimizer, 0.99)
    for _ in range(4):
        for batch in loader:
            learn(model, optimizer, batch)
            warm.step()
        decay.step()


def accumulate(scheduler_of, each_pass):
    model, optimizer, loader = build(256)
    scheduler = scheduler_of(optimizer, 4 * len(loader) // 4)
    for _ in range(4):
        for i, (x,) in enumerate(loader):
            ((model(x) - 1).pow(2).mean() / 4).backward()
            if i % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
                if not each_pass:
                    scheduler.step()
            if each_pass:
                scheduler.step()


def bad_as_long_as_the_steps_and_stepped_with_each_pass():
    model, optimizer, loader = build(256)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(loader))
    for _ in range(4):
        for i, (x,) in enumerate(loader):
            ((model(x) - 1).pow(2).mean() / 4).backward()
            if i % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
            scheduler.step()  # SL308


def good_as_long_as_the_steps_and_stepped_with_them():
    accumulate(lr_scheduler.CosineAnnealingLR, False)


def fine_as_long_as_the_passes_and_stepped_with_them():
    accumulate(lambda optimizer, steps: lr_scheduler.CosineAnnealingLR(optimizer, 4 * steps), True)


def warmed(unit):
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    warm = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=2 * unit)
    cosine = lr_scheduler.CosineAnnealingLR(optimizer, 4 * unit)
    return model, optimizer, lr_scheduler.SequentialLR(optimizer, [warm, cosine], [2 * unit])


def bad_sequence_of_epochs_with_each_batch():
    model, optimizer, scheduler = warmed(1)
    for _ in range(60):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()
        scheduler.step()  # SL308


def good_sequence_of_batches():
    model, optimizer, scheduler = warmed(10)
    for _ in range(60):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()
        scheduler.step()


def bad_made_anew_in_each_epoch():
    model, optimizer, loader = build(48)
    for _ in range(5):
        scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)  # SL308
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_made_anew_for_a_restart():
    model, optimizer, loader = build(48)
    for _ in range(4):
        scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: 0.9**step)
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()


def bad_both_schedules_of_one_optimizer():
    one, first, _ = build()
    two, second, _ = build()
    schedule_one = lr_scheduler.StepLR(first, 5, 0.5)
    schedule_two = lr_scheduler.StepLR(first, 5, 0.5)  # SL308
    for _ in range(12):
        learn(one, first, (torch.randn(8, 4),))
        learn(two, second, (torch.randn(8, 4),))
        schedule_one.step()
        schedule_two.step()


def fine_a_schedule_for_one_of_two_optimizers():
    one, first, _ = build()
    two, second, _ = build()
    warm = lr_scheduler.LinearLR(first, 0.1, total_iters=4)
    falling = lr_scheduler.StepLR(first, 5, 0.5)
    for _ in range(12):
        learn(one, first, (torch.randn(8, 4),))
        learn(two, second, (torch.randn(8, 4),))
        warm.step()
        falling.step()


def warm_up_and_cosine(step, *, warm, total):
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / (total - warm))))


def bad_lambda_of_steps_with_each_epoch():
    model, optimizer, loader = build(160)
    warm, total = 2 * len(loader), 5 * len(loader)

    def factor(step):
        return warm_up_and_cosine(step, warm=warm, total=total)

    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()  # SL308


def bad_lambda_of_steps_bound_to_its_numbers():
    model, optimizer, loader = build(160)
    factor = functools.partial(warm_up_and_cosine, warm=1, total=5 * len(loader))
    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()  # SL308


class Plan:
    def __init__(self, total):
        self.total = total

    def factor(self, step):
        return 1 - step / self.total

    def __call__(self, step):
        return self.factor(step)


def bad_lambda_of_steps_of_a_plan():
    model, optimizer, loader = build(160)
    plan = Plan(5 * len(loader))
    scheduler = lr_scheduler.LambdaLR(optimizer, plan.factor)
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()  # SL308


def good_lambda_of_steps():
    model, optimizer, loader = build(160)
    factor = functools.partial(warm_up_and_cosine, warm=40, total=5 * len(loader))
    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()


def good_lambda_of_epochs():
    model, optimizer, loader = build(160)
    scheduler = lr_scheduler.LambdaLR(optimizer, Plan(10))
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_lambda_that_makes_steps_of_epochs():
    model, optimizer, loader = build(160)
    each, total = len(loader), 5 * len(loader)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - epoch * each / total)
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_lambda_of_steps_in_a_run_cut_short():
    model, optimizer, loader = build(160)
    factor = functools.partial(warm_up_and_cosine, warm=10, total=90 * len(loader))
    scheduler = lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_lambda_of_a_warm_up_longer_than_the_run():  # a first try
    model, optimizer, loader = build(160)
    warm = 20
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: min(1.0, (epoch + 1) / warm))
    for _ in range(5):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def fine_lambda_of_few_steps():
    model, optimizer, loader = build(80)
    total = 4 * len(loader)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 - epoch / total)
    for _ in range(4):
        for batch in loader:
            learn(model, optimizer, batch)
        scheduler.step()


def stepped_with_batches(scheduler_of, passes=6):
    model, optimizer, loader = build(80)
    scheduler = scheduler_of(optimizer)
    for _ in range(passes):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()


def bad_milestones_of_epochs_with_each_batch():
    def scheduler_of(optimizer):
        return lr_scheduler.MultiStepLR(optimizer, [3, 5], gamma=0.1)

    model, optimizer, loader = build(80)
    scheduler = scheduler_of(optimizer)
    for _ in range(6):
        for batch in loader:
            learn(model, optimizer, batch)
            scheduler.step()  # SL308


def fine_milestones_of_batches():
    stepped_with_batches(lambda o: lr_scheduler.MultiStepLR(o, [30, 50], gamma=0.1))


def fine_slow_decay_with_each_batch():
    stepped_with_batches(lambda o: lr_scheduler.ExponentialLR(o, gamma=0.93))


def fine_warm_restarts_within_a_pass():
    stepped_with_batches(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=5))


def fine_fall_in_the_first_of_two_passes():
    stepped_with_batches(lambda o: lr_scheduler.MultiStepLR(o, [3, 5], gamma=0.1), passes=2)


def noisy(samples=400):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    x = torch.randn(samples, 4)
    return model, optimizer, x, x.sum(1, keepdim=True).sin() + 0.5 * torch.randn(samples, 1)


def fit(model, optimizer, x, y):
    optimizer.zero_grad()
    loss = (model(x) - y).pow(2).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def bad_plateau_given_the_loss_of_each_batch():
    model, optimizer, x, y = noisy()
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
    for _ in range(5):
        for batch in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True):
            plateau.step(fit(model, optimizer, *batch))  # SL308


def bad_plateau_given_the_loss_of_each_batch_that_is_indexed():
    model, optimizer, x, y = noisy()
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    for _ in range(5):
        model.train()
        for index in torch.randperm(len(x)).split(8):
            plateau.step(fit(model, optimizer, x[index], y[index]))  # SL308
        model.eval()
        with torch.no_grad():
            model(x)


def good_plateau_given_the_loss_of_each_pass():
    model, optimizer, x, y = noisy()
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
    for _ in range(5):
        model.train()
        for index in torch.randperm(len(x)).split(8):
            fit(model, optimizer, x[index], y[index])
        model.eval()
        with torch.no_grad():
            plateau.step((model(x) - y).pow(2).mean())


def fine_plateau_of_batches_with_a_patience_of_a_pass():
    model, optimizer, x, y = noisy()
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=50)
    for _ in range(5):
        for batch in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True):
            plateau.step(fit(model, optimizer, *batch))


def fine_plateau_of_a_whole_batch():
    model, optimizer, x, y = noisy(64)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
    for step in range(300):
        plateau.step(fit(model, optimizer, x, y))
        if step % 50 == 49:
            model.eval()
            with torch.no_grad():
                model(x)
            model.train()


def fine_plateau_of_a_model_that_has_learned():
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=4, min_lr=2e-4)
    x = torch.randn(800, 4)
    y = x.sum(1, keepdim=True) + 0.3 * torch.randn(800, 1)
    for _ in range(5):
        for batch in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True):
            plateau.step(fit(model, optimizer, *batch))


def fine_plateau_sunk_late():
    model, optimizer, x, y = noisy()
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.7, patience=4)
    for _ in range(5):
        for batch in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True):
            plateau.step(fit(model, optimizer, *batch))


def fine_warm_restart_of_a_plateau():
    model, optimizer, x, y = noisy()
    plateau = lr_scheduler.ReduceLROnPlateau(optimizer, patience=2)
    for _ in range(5):
        optimizer.param_groups[0]["lr"] = 1e-3
        for batch in DataLoader(TensorDataset(x, y), batch_size=8, shuffle=True):
            plateau.step(fit(model, optimizer, *batch))
