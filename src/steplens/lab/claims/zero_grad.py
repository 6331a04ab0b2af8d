"""`model.zero_grad()` against `optimizer.zero_grad()`: whose gradients each of them clears."""

import torch.nn.functional as F
from torch import nn, optim

from steplens.lab.base import claim
from steplens.lab.helpers import X, Y, cleared


@claim(
    "`model.zero_grad()` and `optimizer.zero_grad()` do not differ on one machine with one GPU.",
    number="cleared by the optimizer {by_optimizer}, by the model {by_model}",
    holds=lambda by_optimizer, by_model: by_optimizer == by_model,
    truth="The model clears its own parameters, the optimizer those it was given. They agree "
    "when the two sets are the same, on one device or on many, and differ on one CPU when they "
    "are not.",
    note=13,
)
def model_and_optimizer_clear_the_same():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = optim.SGD(model[1].parameters(), lr=0.1)
    F.mse_loss(model(X), Y).backward()
    optimizer.zero_grad()
    by_optimizer = cleared(model.parameters())
    model.zero_grad()
    return {"by_optimizer": by_optimizer, "by_model": cleared(model.parameters())}


@claim(
    "When the optimizer holds all of the model, the two calls clear the same.",
    number="cleared by the model {by_model}, by the optimizer {by_optimizer}",
    holds=lambda by_model, by_optimizer: by_model == by_optimizer == "4 of 4",
    truth="For `optim.SGD(model.parameters())` either call will do, and one is enough.",
    note=13,
)
def they_agree_on_the_same_parameters():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    F.mse_loss(model(X), Y).backward()
    model.zero_grad()
    by_model = cleared(model.parameters())
    F.mse_loss(model(X), Y).backward()
    optimizer.zero_grad()
    return {"by_model": by_model, "by_optimizer": cleared(model.parameters())}


@claim(
    "`optimizer.zero_grad()` clears what a part frozen after a backward pass still holds.",
    number="frozen part cleared by its optimizer {all_held}, by one that holds the head "
    "{head_only}",
    only_if="the optimizer still holds the frozen part",
    holds=lambda all_held: all_held == "2 of 2",
    elsewhere=lambda head_only: head_only == "2 of 2",
    truth="`requires_grad_(False)` keeps the old gradient. An optimizer made anew for the "
    "head never clears it; `model.zero_grad()` does, frozen or not.",
    note=13,
)
def a_frozen_part_is_cleared():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    F.mse_loss(model(X), Y).backward()
    model[0].requires_grad_(False)
    optim.SGD(model[1].parameters(), lr=0.1).zero_grad()
    head_only = cleared(model[0].parameters())
    optim.SGD(model.parameters(), lr=0.1).zero_grad()
    return {"head_only": head_only, "all_held": cleared(model[0].parameters())}


@claim(
    "With two optimizers, `zero_grad()` of one clears the whole model.",
    number="cleared by the first {first}, by both {both}",
    holds=lambda first: first == "4 of 4",
    truth="Each optimizer clears its own part. Clear with both, or once with `model.zero_grad()`.",
    note=13,
)
def one_of_two_optimizers_clears_all():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    optimizers = [optim.SGD(part.parameters(), lr=0.1) for part in model]
    F.mse_loss(model(X), Y).backward()
    optimizers[0].zero_grad()
    first = cleared(model.parameters())
    optimizers[1].zero_grad()
    return {"first": first, "both": cleared(model.parameters())}


@claim(
    "With one optimizer for two models, `zero_grad()` of one model is enough.",
    number="cleared in the other model by the first one's {by_model}, by the optimizer's "
    "{by_optimizer}",
    holds=lambda by_model: by_model == "2 of 2",
    truth="A model clears its own parameters. For an encoder and a decoder in one optimizer, "
    "`optimizer.zero_grad()` is the call that reaches both.",
    note=13,
)
def one_of_two_models_clears_all():
    encoder, decoder = nn.Linear(2, 2), nn.Linear(2, 1)
    optimizer = optim.SGD([*encoder.parameters(), *decoder.parameters()], lr=0.1)
    F.mse_loss(decoder(encoder(X)), Y).backward()
    encoder.zero_grad()
    by_model = cleared(decoder.parameters())
    optimizer.zero_grad()
    return {"by_model": by_model, "by_optimizer": cleared(decoder.parameters())}


@claim(
    "`optimizer.zero_grad()` clears a layer that was added to the model later.",
    number="new layer cleared: before `add_param_group` {later}, after it {added}",
    only_if="the layer was given to it by `add_param_group`",
    holds=lambda added: added == "2 of 2",
    elsewhere=lambda later: later == "2 of 2",
    truth="An optimizer keeps the list it was made with: a later layer is neither cleared nor "
    "trained by it. `model.zero_grad()` finds it.",
    note=13,
)
def a_layer_added_later_is_cleared():
    model = nn.Sequential(nn.Linear(2, 2))
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    model.append(nn.Linear(2, 1))
    F.mse_loss(model(X), Y).backward()
    optimizer.zero_grad()
    later = cleared(model[1].parameters())
    optimizer.add_param_group({"params": model[1].parameters()})
    optimizer.zero_grad()
    return {"later": later, "added": cleared(model[1].parameters())}
