"""The life of a gradient: how `.grad` comes about, grows, is used, and goes."""

import warnings

import torch
import torch.nn.functional as F
from torch import nn, optim

from steplens.lab.base import claim
from steplens.lab.helpers import TestModel, X, Y, raised


@claim(
    "Before the first backward pass a parameter's gradient is zero.",
    number="weight gradient {made} when made, {forward} after the forward, {backward} after "
    "backward",
    holds=lambda made, forward: made == forward == [[0, 0]],
    truth="It is `None`: there is no tensor yet. The forward and the loss do not change that; "
    "`backward()` makes it.",
)
def gradients_begin_at_zero():
    weight = (model := TestModel()).mlp.weight
    made = weight.grad
    loss = F.mse_loss(model(X), Y)
    forward = weight.grad
    loss.backward()
    return {"made": made, "forward": forward, "backward": weight.grad}


@claim(
    "If the loss is computed again with no `optimizer.step()` between, the new gradient is "
    "added to the old.",
    number="weight gradient {first}, then {second}; after a step between, {third}",
    holds=lambda first, second: second == [[2 * first[0][0], 2 * first[0][1]]],
    truth="`backward()` always adds to `.grad`. A step between changes nothing in that: only "
    "`zero_grad()`, or setting `.grad` to `None`, makes room.",
    note=10,
)
def backward_adds_to_grad():
    model, grads = TestModel(), []
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    for _ in range(3):
        F.mse_loss(model(X), Y).backward()
        grads.append(model.mlp.weight.grad.tolist())
        if len(grads) == 2:
            optimizer.step()
    return {"first": grads[0], "second": grads[1], "third": grads[2]}


@claim(
    "`model.zero_grad()` and `optimizer.step()` both clear the gradients; the one does not "
    "train, the other does.",
    number="weight gradient {step} after `step()`, {zero_grad} after `zero_grad()`",
    holds=lambda step, zero_grad: step is None and zero_grad is None,
    truth="`step()` reads the gradient and leaves it as it is. Only `zero_grad()` clears it, "
    "by setting it to `None` since torch 2.0.",
    note=8,
)
def step_clears_the_gradients():
    model = TestModel()
    optimizer = optim.Adam(model.parameters(), lr=0.5)
    F.mse_loss(model(X), Y).backward()
    optimizer.step()
    step = model.mlp.weight.grad.tolist()
    model.zero_grad()
    return {"step": step, "zero_grad": model.mlp.weight.grad}


@claim(
    "`zero_grad()` frees the gradients: they are `None` afterwards.",
    number="weight gradient {default} by default, {kept} with `set_to_none=False`",
    only_if="`set_to_none` is true, as it is by default since torch 2.0",
    holds=lambda default: default is None,
    elsewhere=lambda kept: kept is None,
    truth="By default the tensor is let go, so code that reads `p.grad` after it must expect "
    "`None`. `zero_grad(set_to_none=False)` fills it with zeros.",
)
def zero_grad_frees_grad():
    model = TestModel()
    F.mse_loss(model(X), Y).backward()
    model.zero_grad()
    default = model.mlp.weight.grad
    F.mse_loss(model(X), Y).backward()
    model.zero_grad(set_to_none=False)
    return {"default": default, "kept": model.mlp.weight.grad}


@claim(
    "A step on a gradient of zero leaves the weight where it is.",
    number="moved by {plain} by SGD, {momentum} with momentum, {decay} with weight decay",
    only_if="the optimizer has no momentum and no weight decay",
    holds=lambda plain: plain == 0,
    elsewhere=lambda momentum, decay: momentum == 0 and decay == 0,
    truth="Momentum goes on by what earlier gradients left, and weight decay pulls at every "
    "step. With a gradient of `None` nothing moves: that is one reason for `set_to_none`.",
)
def a_zero_gradient_moves_nothing():
    moved = {"plain": {}, "momentum": {"momentum": 0.9}, "decay": {"weight_decay": 0.1}}
    for name, options in moved.items():
        w = nn.Parameter(torch.ones(1))
        optimizer = optim.SGD([w], lr=0.5, **options)
        for w.grad in (torch.ones(1), torch.zeros(1)):
            before = w.item()
            optimizer.step()
        moved[name] = abs(w.item() - before)
    return moved


@claim(
    "A step skips a parameter whose gradient is `None`: no decay, no momentum, no state.",
    number="weight {before} -> {after} by a step with momentum and decay; {state} tensors of state",
    holds=lambda before, after, state: before == after and state == 0,
    truth="Optimizers look only at parameters that have a gradient. A step without a new "
    "backward pass does nothing to those that were set to `None`.",
)
def step_skips_none():
    w = nn.Parameter(torch.ones(1))
    optimizer = optim.AdamW([w], lr=0.5, weight_decay=0.1)
    before = w.item()
    optimizer.step()
    return {"before": before, "after": w.item(), "state": len(optimizer.state)}


@claim(
    "A parameter that the loss does not reach gets a gradient of zero.",
    number="gradient of the used weight {used}, of the spare one {spare}",
    holds=lambda spare: spare is not None,
    truth="Its gradient stays `None`, and every step passes it over. A gradient that is "
    "`None` after backward means: not part of this loss.",
)
def an_unused_parameter_gets_zeros():
    used, spare = nn.Linear(1, 1), nn.Linear(1, 1)
    used(torch.ones(1, 1)).sum().backward()
    return {"used": used.weight.grad, "spare": spare.weight.grad}


@claim(
    "`backward()` leaves a gradient on the results in between, too.",
    number="gradient of the hidden result {plain}; after `retain_grad()` {kept}",
    only_if="`retain_grad()` was called on them before",
    holds=lambda kept: kept is not None,
    elsewhere=lambda plain: plain is not None,
    truth="Only leaves (parameters, inputs that require grad) keep theirs. A result's "
    "gradient is passed on and dropped, unless `retain_grad()` asks for it.",
)
def results_keep_their_gradients():
    w = torch.ones(1, requires_grad=True)
    plain, kept = w * 2, w * 3
    kept.retain_grad()
    (plain + kept).sum().backward()
    with warnings.catch_warnings(action="ignore"):
        return {"plain": plain.grad, "kept": kept.grad}


@claim(
    "`torch.autograd.grad` returns gradients and leaves `.grad` alone.",
    number="returned {returned}, `.grad` is {kept}",
    holds=lambda returned, kept: returned is not None and kept is None,
    truth="It is the way to look at a gradient, or to penalise it, without adding to what the "
    "next step will use.",
)
def autograd_grad_leaves_grad_alone():
    w = torch.ones(1, requires_grad=True)
    (returned,) = torch.autograd.grad((w * 3).sum(), w)
    return {"returned": returned, "kept": w.grad}


@claim(
    "A gradient kept in a variable stays as it was.",
    number="kept {kept}, after one more backward pass {later}; the clone {clone}",
    only_if="it was cloned",
    holds=lambda kept, clone: clone == kept,
    elsewhere=lambda kept, later: later == kept,
    truth="`g = p.grad` is the same tensor, and the next backward adds into it. After a "
    "`zero_grad()` to `None` the next one makes a new tensor, and `g` is left in peace.",
)
def a_kept_gradient_stays_the_same():
    w = torch.ones(1, requires_grad=True)
    (w * 3).sum().backward()
    alias, clone, kept = w.grad, w.grad.clone(), w.grad.tolist()
    (w * 3).sum().backward()
    return {"kept": kept, "later": alias, "clone": clone}


@claim(
    "`backward()` frees the graph: a second one through it is an error.",
    number="second `backward()`: {second}; through additions only: {linear}",
    only_if="the graph holds tensors saved for backward",
    holds=lambda second: second.startswith("RuntimeError"),
    elsewhere=lambda linear: linear.startswith("RuntimeError"),
    truth="The saved tensors are let go by the first pass. A graph that saved none, of sums "
    "and additions, has nothing to miss and runs again. Compute the loss anew, or keep the "
    "graph with `retain_graph=True`.",
)
def backward_frees_graph():
    w = torch.ones(1, requires_grad=True)
    loss, linear = (w**2).sum(), (w + 1).sum()
    loss.backward()
    linear.backward()
    return {"second": raised(loss.backward), "linear": raised(linear.backward)}


@claim(
    "With `retain_graph=True` the same loss can be run backward again, and its gradient adds up.",
    number="weight gradient {first}, then {second}",
    holds=lambda first, second: second == [2 * first[0]],
    truth="The second pass computes the same gradient from the same saved values and adds it. "
    "It is needed for two losses over one graph, hardly ever in a plain loop.",
)
def retain_graph_allows_a_second_backward():
    w = torch.ones(1, requires_grad=True)
    loss = (w**2).sum()
    loss.backward(retain_graph=True)
    first = w.grad.tolist()
    loss.backward()
    return {"first": first, "second": w.grad}
