"""`torch.no_grad` and its kin above a function: which functions it reaches."""

import contextlib

import torch

from steplens.lab.base import claim
from steplens.lab.helpers import nodes, raised


@claim(
    "`@torch.no_grad()` above a function stops the recording inside it, and only there.",
    number="graph nodes {inside} inside, {after} after the call",
    holds=lambda inside, after: inside == 0 < after,
    truth="Each call enters and leaves a `no_grad` of its own. It is the usual form for an "
    "evaluation function.",
    note=12,
)
def no_grad_decorates_a_function():
    w = torch.ones(2, requires_grad=True)

    @torch.no_grad()
    def double():
        return w * 2

    return {"inside": nodes(double()), "after": nodes(w * 2)}


@claim(
    "`@torch.no_grad` without brackets does the same as with them.",
    number="graph nodes {inside} inside, {after} after the call",
    holds=lambda inside, after: inside == 0 < after,
    truth="Since torch 2.0 both forms decorate. As a context the brackets are needed: `with "
    "torch.no_grad():`.",
    note=12,
)
def no_grad_decorates_without_brackets():
    w = torch.ones(2, requires_grad=True)

    @torch.no_grad
    def double():
        return w * 2

    return {"inside": nodes(double()), "after": nodes(w * 2)}


@claim(
    "`with torch.no_grad:` without brackets works as a context.",
    number="`with torch.no_grad:` gives {error}",
    holds=lambda error: error == "no error",
    truth="Without brackets it is a class, which is no context. This form at least fails at once.",
    note=12,
)
def no_grad_is_a_context_without_brackets():
    def evaluate():
        with torch.no_grad:
            pass

    return {"error": raised(evaluate)}


@claim(
    "`@torch.no_grad()` on a generator holds inside it only, between its yields.",
    number="recording in the generator {inside}, in the loop that reads it {outside}",
    holds=lambda inside, outside: not any(inside) and all(outside),
    truth="torch enters the mode anew at each resumption and leaves it at each yield, so that "
    "the caller's loop records.",
    note=12,
)
def no_grad_decorates_a_generator():
    @torch.no_grad()
    def batches():
        yield torch.is_grad_enabled()
        yield torch.is_grad_enabled()

    pairs = [(inside, torch.is_grad_enabled()) for inside in batches()]
    return {"inside": [i for i, _ in pairs], "outside": [o for _, o in pairs]}


@claim(
    "`@torch.no_grad()` on a coroutine stops the recording inside it.",
    number="graph nodes {function} from a function, {coroutine} from an `async def`",
    holds=lambda coroutine: coroutine == 0,
    truth="Calling an `async def` only makes the coroutine: the mode is left again before its "
    "body runs. Write `with torch.no_grad():` inside, around code without `await`.",
    note=12,
)
def no_grad_decorates_a_coroutine():
    w, made = torch.ones(2, requires_grad=True), []
    function = torch.no_grad()(lambda: w * 2)

    @torch.no_grad()
    async def coroutine():
        made.append(w * 2)

    with contextlib.suppress(StopIteration):
        coroutine().send(None)  # as an event loop does
    return {"function": nodes(function()), "coroutine": nodes(made[0])}


@claim(
    "`@torch.no_grad()` on a class covers its methods.",
    number="recording in `__init__` {init}, in a method {method}; the class is a {kind} now",
    holds=lambda init, method: not init and not method,
    truth="It wraps the class in a function, so only `__init__` runs without recording, and "
    "`isinstance` no longer works. torch warns that this will be disabled. Decorate the "
    "methods.",
    note=12,
)
def no_grad_decorates_a_class():
    @torch.no_grad()
    class Evaluator:
        def __init__(self):
            self.init = torch.is_grad_enabled()

        def method(self):
            return torch.is_grad_enabled()

    found = Evaluator()
    return {"init": found.init, "method": found.method(), "kind": type(Evaluator).__name__}


@claim(
    "`@torch.inference_mode()` decorates as `@torch.no_grad()` does.",
    number="graph nodes {inside} inside, {after} after; its result is an inference tensor: "
    "{marked}",
    holds=lambda inside, after: inside == 0 < after,
    truth="It stops the recording, and marks what it makes: an inference tensor may not be "
    "saved for a backward pass later. Fine for predictions, wrong for targets that training "
    "will use.",
    note=12,
)
def inference_mode_decorates_a_function():
    w = torch.ones(2, requires_grad=True)

    @torch.inference_mode()
    def double():
        return w * 2

    y = double()
    return {"inside": nodes(y), "after": nodes(w * 2), "marked": y.is_inference()}


@claim(
    "`enable_grad` inside a function under `@torch.no_grad()` records.",
    number="graph nodes {outside} in the function, {inside} in its `enable_grad` block",
    holds=lambda outside, inside: outside == 0 < inside,
    truth="The innermost mode counts, for decorators as for contexts: a saliency map can be "
    "made inside an evaluation function.",
    note=12,
)
def enable_grad_inside_a_decorator():
    w = torch.ones(2, requires_grad=True)

    @torch.no_grad()
    def evaluate():
        with torch.enable_grad():
            inside = w * 2
        return {"outside": nodes(w * 2), "inside": nodes(inside)}

    return evaluate()


@claim(
    "`@torch.set_grad_enabled(False)` switches at the calls, not where it is written.",
    number="recording {written} below the decorator, {inside} in the call, {after} after it",
    holds=lambda written, inside, after: written and not inside and after,
    truth="`set_grad_enabled(False)` acts as soon as it is made; used as a decorator it takes "
    "that back and switches at each call.",
    note=12,
)
def set_grad_enabled_decorates_a_function():
    @torch.set_grad_enabled(False)
    def evaluate():
        return torch.is_grad_enabled()

    written = torch.is_grad_enabled()
    return {"written": written, "inside": evaluate(), "after": torch.is_grad_enabled()}
