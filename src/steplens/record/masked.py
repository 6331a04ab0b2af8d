"""Masked: layers of the program's own that drop values in eval mode by a mask they draw: what they
give back is what they were given, here times 0 and there times one number above 1."""

import ast
from types import FunctionType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Drop
from steplens.model.site import Site
from steplens.record.nested import tensors_in
from steplens.record.settings import lines_of
from steplens.record.silence import unheard
from steplens.record.source import syntax_tree
from steplens.record.unrecorded import dice, rolled

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOOKS = 4  # at forwards of the layers of one class
KINDS = 256  # classes
NEAR = 0.01  # of the factor, by which factors may differ: that of bfloat16
DRAWS = ("bernoulli", "bernoulli_", "rand", "rand_like", "uniform_")


def before(recorder: "Recorder", module: nn.Module, args: Any) -> Any:
    """Where the random numbers stand before the forward of such a layer in eval mode, None for a
    layer of no interest: one with parameters or children, or whose class is not the user's."""
    if module.training or module._modules or module._parameters or len(args) != 1:
        return None
    looks, kind = recorder.moves.looks, type(module)
    left = looks.get(kind, LOOKS if len(looks) < KINDS else 0)
    if not left or not isinstance(args[0], torch.Tensor):
        return None
    code = getattr(kind.forward, "__code__", None)
    looks[kind] = left - 1 if code is not None and recorder.places.owns(code) else 0
    return unheard(dice)(args[0]) if looks[kind] or left == 1 else None


@unheard
def after(recorder: "Recorder", module: nn.Module, token: Any, args: Any, result: Any) -> None:
    """Tell of values that it dropped."""
    given = next(tensors_in(args), None)
    if token is None or given is None or not rolled(token, dice(given)):
        return
    if not isinstance(result, torch.Tensor) or result.shape != given.shape:
        return
    with recorder.quiet(), torch.no_grad():
        filled = given.ne(0)
        factors = result[filled].double() / given[filled].double()
        kept = factors[factors.ne(0)]
        dropped = len(factors) - len(kept)
        if not dropped or not len(kept):
            return
        factor = float(kept.max())
        if not factor > 1 + NEAR or float(kept.min()) < factor * (1 - NEAR):
            return
    recorder.moves.looks[type(module)] = 0
    recorder.emit(
        Drop(
            recorder.index(),
            recorder.step,
            _drawing_line(recorder, module) or recorder.site(),
            recorder.census.module(module),
            type(module).__name__,
            1 - 1 / factor,
            dropped=dropped,
            of=len(factors),
            masked=True,
        )
    )


def _drawing_line(recorder: "Recorder", module: nn.Module) -> Site | None:
    """The line of its forward that draws, or calls a function of the user's that does."""
    forward: Any = type(module).forward
    code = forward.__code__
    drawing = [*DRAWS]
    for name in code.co_names:
        called = forward.__globals__.get(name)
        if isinstance(called, FunctionType) and not {*DRAWS}.isdisjoint(called.__code__.co_names):
            drawing.append(name)
    tree, lines = syntax_tree(code.co_filename), lines_of(code)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call) and node.lineno in lines:
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else ""
            name = function.id if isinstance(function, ast.Name) else name
            if name in drawing:
                return recorder.places.line(code, node.lineno)
    return None
