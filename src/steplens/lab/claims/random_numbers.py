"""Random numbers: what a seed fixes, what draws, and what a seed does not reach."""

import random

import torch
from torch import nn
from torch.utils.data import DataLoader

from steplens.lab.base import claim


@claim(
    "The same seed gives the same initial weights.",
    number="second layer's weight {alone}; with one more layer made before it {later}",
    only_if="nothing else is drawn before",
    holds=lambda alone, again: alone == again,
    elsewhere=lambda alone, later: alone == later,
    truth="A seed fixes a sequence, and every layer takes its numbers from it in order. One "
    "more layer, or one dropout, shifts all that comes after.",
)
def a_seed_fixes_the_weights():
    weights = []
    for layers in (1, 1, 2):
        torch.manual_seed(0)
        made = [nn.Linear(1, 1) for _ in range(layers)]
        weights.append(made[-1].weight.item())
    return {"alone": weights[0], "again": weights[1], "later": weights[2]}


@claim(
    "`torch.manual_seed` seeds Python's `random` too.",
    number="two draws after the same seed: torch {torch}, random {python}",
    holds=lambda torch, python: torch[0] == torch[1] and python[0] == python[1],
    truth="It seeds torch's generators only. `random` and numpy, which augmentations often "
    "use, have seeds of their own.",
)
def one_seed_serves_all():
    ours, python = [], []
    for _ in range(2):
        torch.manual_seed(0)
        ours.append(torch.rand(()).item())
        python.append(random.random())
    return {"torch": ours, "python": python}


@claim(
    "Dropout draws random numbers in eval mode, too.",
    number="random state moved: {train} by dropout in train mode, {evaluation} in eval mode",
    holds=lambda evaluation: evaluation,
    truth="In eval mode nothing is drawn. A validation in train mode draws, and thereby "
    "changes the training after it, seed or no seed.",
)
def dropout_draws_in_eval_mode():
    moved = {}
    for name, dropout in (("train", nn.Dropout()), ("evaluation", nn.Dropout().eval())):
        before = torch.get_rng_state()
        dropout(torch.ones(4))
        moved[name] = not torch.equal(before, torch.get_rng_state())
    return moved


@claim(
    "A `DataLoader` without shuffling draws no random numbers.",
    number="random state moved by one pass: {plain}; with a generator of its own: {own}",
    only_if="it has a `generator` of its own",
    holds=lambda own: not own,
    elsewhere=lambda plain: not plain,
    truth="Each pass draws a base seed for its workers from torch's global generator, workers "
    "or none. One more pass over a validation loader shifts the dropout of the training.",
)
def a_plain_loader_draws_nothing():
    moved = {}
    for name, generator in (("plain", None), ("own", torch.Generator())):
        before = torch.get_rng_state()
        list(DataLoader([1, 2], generator=generator))
        moved[name] = not torch.equal(before, torch.get_rng_state())
    return moved


@claim(
    "`torch.random.fork_rng()` puts the random state back.",
    number="next number {expected}; after a block that draws: {forked} forked, {plain} not",
    only_if="the draws come from torch",
    holds=lambda expected, forked: expected == forked,
    elsewhere=lambda python: python[0] == python[1],
    truth="It saves and restores torch's generators. Draws from `random` and numpy go on moving.",
)
def fork_rng_puts_the_state_back():
    before, python_before = torch.get_rng_state(), random.getstate()
    expected, one = torch.rand(()).item(), random.random()
    torch.set_rng_state(before)
    random.setstate(python_before)
    with torch.random.fork_rng():
        torch.rand(100), random.random()
    forked, plain, two = torch.rand(()).item(), torch.rand(()).item(), random.random()
    return {"expected": expected, "forked": forked, "plain": plain, "python": [one, two]}


@claim(
    "Setting the seed at each epoch shuffles the data in the same order each time.",
    number="orders of two epochs: {seeded} with the seed set in the loop, {free} without",
    holds=lambda seeded, free: seeded[0] == seeded[1] and free[0] != free[1],
    truth="The order is drawn anew at each pass. A `manual_seed` inside the loop makes every "
    "epoch alike, dropout and augmentation included: seed once, before it.",
)
def a_seed_in_the_loop_repeats_the_order():
    loader = DataLoader(range(5), batch_size=5, shuffle=True)
    seeded, free = [], []
    for _ in range(2):
        torch.manual_seed(0)
        seeded.append(next(iter(loader)).tolist())
    for _ in range(2):
        free.append(next(iter(loader)).tolist())
    return {"seeded": seeded, "free": free}
