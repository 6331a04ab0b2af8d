"""What `no_grad`, `enable_grad` and `inference_mode` switch, where, and for how long."""

import contextlib
import threading

import torch
import torch.nn.functional as F
from torch import nn

from steplens.lab.base import claim
from steplens.lab.helpers import TestModel, X, Y, nodes, raised


@claim(
    "`with torch.no_grad()` switches the backward pass of gradients off and saves computation.",
    number="{recorded} graph nodes and {kept} tensors kept with grad, {nodes} and {left} without",
    holds=lambda recorded, kept, nodes, left: nodes == left == 0 < min(recorded, kept),
    truth="Under `no_grad` nothing is recorded: no graph, no tensors kept for it, and nothing "
    "to run backward. The forward's own arithmetic is the same; what is saved is memory and "
    "the backward pass.",
    note=6,
)
def no_grad_switches_backward_off():
    model, kept, left = nn.Sequential(nn.Linear(2, 2), nn.Tanh()), [], []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, kept.pop):
        recorded = nodes(model(X))
    with torch.no_grad(), torch.autograd.graph.saved_tensors_hooks(left.append, left.pop):
        unrecorded = nodes(model(X))
    kept, left = len(kept), len(left)
    return {"recorded": recorded, "kept": kept, "nodes": unrecorded, "left": left}


@claim(
    "A loss computed under `no_grad` has no graph, and `backward()` on it is an error.",
    number="{nodes} graph nodes, `backward()`: {error}",
    holds=lambda nodes, error: nodes == 0 and error.startswith("RuntimeError"),
    truth="torch's message is `element 0 of tensors does not require grad and does not have a "
    "grad_fn`: look for the `no_grad`, `detach()` or `item()` between the parameters and the "
    "loss.",
)
def no_grad_no_graph():
    model = TestModel()
    with torch.no_grad():
        loss = F.mse_loss(model(X), Y)
    return {"nodes": nodes(loss), "error": raised(loss.backward)}


@claim(
    "`loss.backward()` inside `with torch.no_grad()` raises an error.",
    number="loss computed inside: {inside}; outside: {outside}, gradient {gradient}",
    only_if="the loss was computed under `no_grad` too",
    holds=lambda inside: inside.startswith("RuntimeError"),
    elsewhere=lambda outside: outside.startswith("RuntimeError"),
    truth="The graph is recorded, or not, when the loss is computed. `backward()` only runs "
    "it, and runs it as well under `no_grad`.",
    note=7,
)
def backward_under_no_grad_raises():
    model = TestModel()
    before = F.mse_loss(model(X), Y)
    with torch.no_grad():
        inside = raised(F.mse_loss(model(X), Y).backward)
        outside = raised(before.backward)
    return {"inside": inside, "outside": outside, "gradient": model.mlp.weight.grad}


@claim(
    "`no_grad` changes the values that a forward computes.",
    number="largest difference {difference}",
    holds=lambda difference: difference != 0,
    truth="The same kernels run on the same numbers: the output is the same bit for bit.",
)
def no_grad_changes_the_values():
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
    x = torch.randn(16, 8)
    with torch.no_grad():
        without = model(x)
    return {"difference": (model(x) - without).abs().max()}


@claim(
    "A layer made under `no_grad` is frozen.",
    number="`requires_grad` of its weight {weight}, of a product made there {product}",
    holds=lambda weight: not weight,
    truth="`no_grad` sets `requires_grad=False` on results of operations. A parameter is not "
    "a result: it requires grad wherever it is made.",
)
def layers_made_in_no_grad_are_frozen():
    with torch.no_grad():
        layer = nn.Linear(2, 1)
        product = layer.weight * 2
    return {"weight": layer.weight.requires_grad, "product": product.requires_grad}


@claim(
    "`no_grad` also holds in threads started inside the block.",
    number="recording inside the block: {here} in its own thread, {there} in a new one",
    holds=lambda here, there: not here and not there,
    truth="The grad mode belongs to a thread, and a new thread begins with recording on. A "
    "worker thread needs a `no_grad` of its own.",
)
def no_grad_reaches_new_threads():
    there = []
    thread = threading.Thread(target=lambda: there.append(torch.is_grad_enabled()))
    with torch.no_grad():
        here = torch.is_grad_enabled()
        thread.start()
        thread.join()
    return {"here": here, "there": there[0]}


@claim(
    "`enable_grad` inside `no_grad` records again, and the end of the block undoes it.",
    number="graph nodes {inside} inside, {after} after it",
    holds=lambda inside, after: inside > 0 == after,
    truth="The innermost grad mode counts. Each block puts back what it found.",
)
def enable_grad_inside_no_grad():
    w = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        with torch.enable_grad():
            inside = nodes(w * 2)
        return {"inside": inside, "after": nodes(w * 2)}


@claim(
    "`enable_grad` inside `inference_mode` records again.",
    number="graph nodes: {no_grad} inside `no_grad`, {inference} inside `inference_mode`",
    holds=lambda no_grad, inference: no_grad > 0 and inference > 0,
    truth="Inference mode cannot be switched back from the inside: `is_grad_enabled()` says "
    "yes, and still nothing is recorded. Leave it with `inference_mode(False)`.",
)
def enable_grad_inside_inference_mode():
    w = torch.ones(2, requires_grad=True)
    with torch.no_grad(), torch.enable_grad():
        no_grad = nodes(w * 2)
    with torch.inference_mode(), torch.enable_grad():
        inference = nodes(w * 2)
    return {"no_grad": no_grad, "inference": inference}


@claim(
    "What `inference_mode` computed can be used in training later.",
    number="in a product with a weight, made under `no_grad`: {no_grad}; `inference_mode`: "
    "{inference}",
    holds=lambda inference: inference == "no error",
    truth="A tensor of inference mode has no write counter, so autograd refuses to save it. "
    "Take `no_grad` for values that training will use, or `.clone()` them outside.",
)
def inference_tensors_serve_training():
    w, x = torch.ones(2, requires_grad=True), torch.ones(2)
    with torch.no_grad():
        plain = x * 3
    with torch.inference_mode():
        inferred = x * 3
    return {"no_grad": raised(lambda: w * plain), "inference": raised(lambda: w * inferred)}


@claim(
    "`torch.set_grad_enabled(False)`, called as a function, outlives the function that called it.",
    number="`is_grad_enabled()`: {before} before the call, {after} after it",
    holds=lambda before, after: before and not after,
    truth="Called as a function it switches the thread until the next switch: every later "
    "training forward has no graph. Use it as a context: `with torch.set_grad_enabled(flag):`.",
    note=12,
)
def set_grad_enabled_outlives_its_function():
    def evaluate():
        torch.set_grad_enabled(False)

    before = torch.is_grad_enabled()
    evaluate()
    return {"before": before, "after": torch.is_grad_enabled()}


@claim(
    "`with torch.set_grad_enabled(False):` puts the mode back at the end of its block.",
    number="`is_grad_enabled()`: {inside} inside, {after} after; after an error inside, {failed}",
    holds=lambda inside, after, failed: after and failed and not inside,
    truth="As a context it ends with its block, by an exception too. This is the form for "
    '`with torch.set_grad_enabled(phase == "train"):`.',
    note=12,
)
def set_grad_enabled_context_restores():
    with torch.set_grad_enabled(False):
        inside = torch.is_grad_enabled()
    after = torch.is_grad_enabled()
    with contextlib.suppress(ValueError), torch.set_grad_enabled(False):
        raise ValueError
    return {"inside": inside, "after": after, "failed": torch.is_grad_enabled()}
