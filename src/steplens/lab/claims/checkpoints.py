"""Saving and resuming: what a `state_dict` holds, shares, and leaves out."""

import copy

import torch
import torch.nn.functional as F
from torch import nn, optim

from steplens.lab.base import claim
from steplens.lab.helpers import TestModel, X, Y, raised


@claim(
    "`best = model.state_dict()` is a view: it moves with the model.",
    number="weight saved {saved}; after a step it reads {shared}, its deep copy {copied}",
    holds=lambda saved, shared, copied: shared != saved and copied == saved,
    truth="The entries share storage with the parameters, so the best weights become the last "
    "ones. Keep `copy.deepcopy(model.state_dict())`; `torch.save` writes the values of that "
    "moment.",
)
def state_dict_is_a_view():
    model = TestModel()
    best, copied = model.state_dict(), copy.deepcopy(model.state_dict())
    saved = best["mlp.weight"].tolist()
    F.mse_loss(model(X), Y).backward()
    optim.SGD(model.parameters(), lr=0.5).step()
    return {"saved": saved, "shared": best["mlp.weight"], "copied": copied["mlp.weight"]}


@claim(
    "`load_state_dict` makes the model share the loaded tensors.",
    number="model's weight {before}, after writing 9 into the loaded one {after}",
    holds=lambda before, after: before != after,
    truth="Loading copies values into the model's own parameters. Only `assign=True` puts the "
    "loaded tensors in their place.",
)
def loading_shares_the_tensors():
    model, loaded = nn.Linear(1, 1), {"weight": torch.ones(1, 1), "bias": torch.zeros(1)}
    model.load_state_dict(loaded)
    before = model.weight.item()
    loaded["weight"].fill_(9)
    return {"before": before, "after": model.weight.item()}


@claim(
    "The model's `state_dict` is enough to go on as if nothing had happened.",
    number="next weight off by {sgd} with SGD, by {adam} with Adam",
    only_if="the optimizer keeps no state, as plain SGD",
    holds=lambda sgd: sgd == 0,
    elsewhere=lambda adam: adam == 0,
    truth="Adam's moments and step count are in the optimizer's `state_dict`. A checkpoint "
    "holds both, and the scheduler's and the random state besides.",
)
def weights_alone_resume_a_run():
    off, gradients = {}, (torch.tensor([1.0]), torch.tensor([3.0]))
    for name, kind in (("sgd", optim.SGD), ("adam", optim.Adam)):
        w, restored = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
        going_on, resumed = kind([w], lr=0.1), kind([restored], lr=0.1)
        for w.grad, restored.grad in zip(gradients, (None, gradients[1]), strict=True):
            restored.data.copy_(w)
            going_on.step(), resumed.step()
        off[name] = (w - restored).abs().item()
    return off


@claim(
    "A learning rate given to the optimizer lasts when its `state_dict` is loaded.",
    number="lr {given} as given, {after} after the load",
    holds=lambda given, after: given == after,
    truth="The saved options replace those of the constructor, the rate among them. To go on "
    "at another rate, set it in `param_groups` after loading.",
)
def the_given_rate_survives_a_load():
    w = nn.Parameter(torch.ones(1))
    saved = optim.SGD([w], lr=0.1).state_dict()
    optimizer = optim.SGD([w], lr=0.001)
    optimizer.load_state_dict(saved)
    return {"given": 0.001, "after": optimizer.param_groups[0]["lr"]}


@claim(
    "An optimizer's `state_dict` finds its parameters by name.",
    number="steps saved for (a, b): {saved}; loaded in the order (b, a): a {a}, b {b}",
    holds=lambda saved, a, b: [a, b] == saved,
    truth="It counts positions. Parameters given in another order get each other's moments, "
    "and when the shapes agree nothing is said.",
)
def optimizer_state_is_loaded_by_name():
    a, b = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    saved, loaded = optim.Adam([a, b]), optim.Adam([b, a])
    for a.grad, b.grad in ((torch.ones(1), torch.ones(1)), (torch.ones(1), None)):
        saved.step()
    counts = [saved.state[p]["step"].item() for p in (a, b)]
    loaded.load_state_dict(saved.state_dict())
    return {"saved": counts, "a": loaded.state[a]["step"], "b": loaded.state[b]["step"]}


@claim(
    "Freezing is saved with the model.",
    number="`requires_grad` saved {saved}, loaded {loaded}",
    holds=lambda saved, loaded: saved == loaded,
    truth="A `state_dict` holds values only. Freeze again after loading, before the optimizer "
    "is made.",
)
def freezing_is_saved():
    frozen, fresh = nn.Linear(1, 1).requires_grad_(False), nn.Linear(1, 1)
    fresh.load_state_dict(frozen.state_dict())
    return {"saved": frozen.weight.requires_grad, "loaded": fresh.weight.requires_grad}


@claim(
    "`strict=False` still complains of a misspelt key.",
    number="strict {strict}; with `strict=False` {loose}, weight 7 -> {weight}",
    holds=lambda loose: loose != "no error",
    truth="It passes over whatever does not fit, all of it if need be, and returns the names. "
    "Print what it returns: `missing_keys` and `unexpected_keys`.",
)
def strict_false_complains_of_misspelling():
    model, saved = nn.Linear(1, 1, bias=False), {"wieght": torch.full((1, 1), 7.0)}
    strict = raised(lambda: model.load_state_dict(saved))
    loose = raised(lambda: model.load_state_dict(saved, strict=False))
    return {"strict": strict, "loose": loose, "weight": model.weight.item()}
