"""Behind: norms that are asked in eval mode with the statistics of a new norm, and trained weights,
as those of an average are to which the parameters alone are copied."""

import ast
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Behind
from steplens.model.site import Site
from steplens.record import members
from steplens.record.averages import Averages
from steplens.record.norms import readable
from steplens.record.places import Places
from steplens.record.settings import lines_of, only, ran
from steplens.record.source import syntax_tree
from steplens.record.unfed import Unfed

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOOKS = 64  # at each module
WRITERS = frozenset(("mul_", "add_", "lerp_", "copy_", "sub_"))


class BehindNorms:
    """The modules looked at, and how often they may still be."""

    def __init__(self) -> None:
        self.averages = Averages()
        self.unfed = Unfed()
        self.left: weakref.WeakKeyDictionary[nn.Module, int] = weakref.WeakKeyDictionary()

    def look(self, recorder: "Recorder", module: nn.Module, number: int) -> None:
        """After a root module's forward in eval mode."""
        self.averages.look(recorder, module)
        left = self.left.get(module, LOOKS)
        tree = recorder.moves.trees.get(number)
        if left <= 0 or tree is None or not tree.norms:
            return
        self.left[module] = left - 1
        held = [(tree.numbers[place], tree.held[place]()) for place in tree.norms]
        norms = {each: norm for each, norm in held if norm is not None and not norm.training}
        if len(norms) < len(held) or self._trains(recorder, module):
            self.left[module] = left - 1 if len(norms) < len(held) else 0
            return
        with recorder.quiet(), torch.no_grad():
            if not all(_new(norm) for norm in norms.values()):
                self.left[module] = 0
                return
            trained = [each for each, norm in norms.items() if _trained(norm)]
        if trained:
            self.left[module] = 0
            at = recorder.index(), recorder.step, recorder.site()
            written = written_at(recorder.places)
            recorder.emit(Behind(*at, number, tuple(trained), len(norms), written))

    def _trains(self, recorder: "Recorder", module: nn.Module) -> bool:
        """Whether an optimizer that steps holds a parameter of the module."""
        own = {recorder.census.account(tensor).number for tensor in members.parameters(module)}
        steps = recorder.steps.count
        return any(
            steps.get(number) and not own.isdisjoint(optimizer.tensors)
            for number, optimizer in recorder.roster.optimizers.items()
        )


def _new(norm: Any) -> bool:
    """Whether the running statistics are those that a norm is made with."""
    mean, variance, count = norm.running_mean, norm.running_var, norm.num_batches_tracked
    if mean is None or variance is None or not (readable(mean) and readable(variance)):
        return False
    moved = bool(mean.any()) or not bool((variance == 1).all())
    return not moved and (count is None or not bool(count))


def _trained(norm: Any) -> bool:
    """Whether the bias is not one value, as it is when a norm is made."""
    bias = norm._parameters.get("bias")
    if bias is None or bias.numel() < 2 or not readable(bias):
        return False
    return bool((bias != bias.flatten()[0]).any())


def written_at(places: Places) -> Site | None:
    """The one line that writes parameters in place in a loop over those of two models; None where
    there are several."""
    return only(_writing(places))


def _writing(places: Places) -> Iterator[Site]:
    for code in ran(places):
        if "parameters" not in code.co_names or WRITERS.isdisjoint(code.co_names):
            continue
        tree = syntax_tree(code.co_filename)
        lines = lines_of(code)
        for line in _lines(tree) if tree is not None else ():
            if line in lines:
                yield places.line(code, line)


def _lines(tree: ast.Module) -> Iterator[int]:
    for loop in ast.walk(tree):
        if not isinstance(loop, ast.For) or ast.unparse(loop.iter).count("parameters()") < 2:
            continue
        own = {node.id for node in ast.walk(loop.target) if isinstance(node, ast.Name)}
        for node in ast.walk(loop):
            if isinstance(node, ast.Expr) and _writes(node.value, own):
                yield node.lineno


def _writes(value: ast.expr, own: set[str]) -> bool:
    written = False
    while isinstance(value, ast.Call | ast.Attribute):
        if isinstance(value, ast.Attribute):
            written = written or value.attr in WRITERS
            value = value.value
        else:
            value = value.func
    return written and isinstance(value, ast.Name) and value.id in own
