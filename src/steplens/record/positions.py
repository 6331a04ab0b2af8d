"""Positions: whether what a layer adds for each position in time went along the batch instead."""

import ast
import inspect
import weakref
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn

from steplens.model.event import Positioned
from steplens.model.site import Site
from steplens.record.sensitive import drops
from steplens.record.settings import lines_of
from steplens.record.silence import unheard
from steplens.record.source import syntax_tree

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST = 4_000_000  # elements of what a layer gave out
TRIES = 2  # calls of a layer that are read
CLOSE = 1e-5  # of the largest value: how near what was added must be to the layer's own rows
LEAST = 0.3  # of the elements that a dropout has left


class Positions:
    """Layers that added one row of a table of theirs to each sample, until an attention shows that
    dimension 0 is the samples'."""

    def __init__(self) -> None:
        self.tried: weakref.WeakKeyDictionary[nn.Module, int] = weakref.WeakKeyDictionary()
        self.open: dict[tuple[int, ...], tuple[weakref.ref[nn.Module], str]] = {}

    def added(self, recorder: "Recorder", module: nn.Module, args: Any, result: Any) -> None:
        """A layer has run, within a forward that is looked at."""
        if args and not type(module).__module__.startswith("torch."):
            self._added(recorder, module, args[0], result)

    @unheard
    def _added(self, recorder: "Recorder", module: nn.Module, given: Any, result: Any) -> None:
        if not _fit(given, result):
            return
        tables = {**module._parameters, **module._buffers}
        tables = {name: table for name, table in tables.items() if table is not None}
        if not tables or self.tried.get(module, 0) >= TRIES:
            return
        self._compare(recorder, module, tables, given, result)

    def _compare(
        self,
        recorder: "Recorder",
        module: nn.Module,
        tables: dict[str, torch.Tensor],
        given: torch.Tensor,
        result: torch.Tensor,
    ) -> None:
        self.tried[module] = self.tried.get(module, 0) + 1
        dropped = [
            float(cast("Any", child).p)
            for child in module.children()
            if drops(child) and child.training
        ]
        with recorder.quiet(), torch.no_grad():
            for name, table in tables.items():
                if _along_batch(table.detach(), given.detach(), result.detach(), dropped):
                    self.open[tuple(given.shape)] = weakref.ref(module), name

    def attended(self, recorder: "Recorder", module: Any, query: torch.Tensor) -> None:
        """An attention that takes the batch first was given a ``query``, here with time first."""
        if not self.open or not isinstance(module, nn.MultiheadAttention):
            return
        if not module.batch_first or query.dim() != 3:
            return
        steps, batch, size = query.shape
        reference, name = self.open.pop((batch, steps, size), (None, ""))
        layer = reference() if reference is not None else None
        loaded = [tensor for ref in recorder.batches.latest if (tensor := ref()) is not None]
        if layer is not None and all(tensor.shape[:1] == (batch,) for tensor in loaded[:1]):
            at = recorder.index(), recorder.step, recorder.site()
            number = recorder.census.module(layer)
            where = _reads(recorder, layer, name)
            recorder.emit(Positioned(*at, number, name, batch, steps, where))


def _fit(given: Any, result: Any) -> bool:
    """Whether these are [batch, time, features] with more than one sample and step, and not as many
    of the one as of the other."""
    if not isinstance(given, torch.Tensor) or not isinstance(result, torch.Tensor):
        return False
    if given.dim() != 3 or given.shape != result.shape or given.shape[0] == given.shape[1]:
        return False
    whole = given.is_floating_point() and not given.is_meta and given is not result
    return whole and min(given.shape[:2]) > 1 and given.numel() <= MOST


def _along_batch(
    table: torch.Tensor, given: torch.Tensor, result: torch.Tensor, dropped: list[float]
) -> bool:
    """Whether ``result`` is ``given`` with row ``i`` of the table added to sample ``i``, at each of
    its steps, save where a dropout made it 0."""
    batch, _, size = given.shape
    if not table.is_floating_point() or table.dim() < 2 or table.shape[-1] != size:
        return False
    rows = table.reshape(-1, size)
    if len(rows) < batch or max(table.shape[:-1]) != len(rows):
        return False
    rows = rows[:batch].to(given)
    if torch.equal(rows[0], rows[1]) or len(dropped) > 1 or any(p >= 1 for p in dropped):
        return False
    kept = result.ne(0)
    for p in dropped:
        result = result * (1 - p)
    off = (result - given - rows.unsqueeze(1)).abs()
    if dropped:
        if float(kept.float().mean()) < LEAST:
            return False
        off = off.where(kept, 0)
    return float(off.max()) <= CLOSE * max(float(given.abs().max()), float(rows.abs().max()))


def _reads(recorder: "Recorder", module: nn.Module, name: str) -> Site | None:
    """The one line of the layer's forward that reads this attribute of it."""
    code = getattr(inspect.unwrap(type(module).forward), "__code__", None)
    tree = syntax_tree(code.co_filename) if code is not None else None
    if code is None or tree is None or not recorder.places.owns(code):
        return None
    own = lines_of(code)
    lines = {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript | ast.BinOp | ast.AugAssign) and node.lineno in own
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and part.attr == name
    }
    return recorder.places.line(code, min(lines)) if lines else None
