"""Foresight: whether a model of sequences is given what it is to tell.

When the labels of a loss were the tokens that the model had been given, each one place later or in
the same place, one extra look is taken at the model's next forward: of a copy in eval mode, do the
first outputs change with the later tokens? The program's random numbers, its module and its graph
are as they were before.
"""

import copy
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.autograd.graph import GradientEdge

from steplens.model.event import Foreseen
from steplens.model.site import Site
from steplens.record import members
from steplens.record.graph import Walk, sequence_number
from steplens.record.losses import OPS_NEAR
from steplens.record.mixing import of_inputs, spot
from steplens.record.nested import tensors_in
from steplens.record.nodes import kept, shape_at, stem
from steplens.record.rows import graph_of_copy, own_numbers, quiet_code, small
from steplens.record.saved import signed
from steplens.record.silence import overheard

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOOKS = 4  # modules
READ = 16  # losses whose labels are compared with what was given
MOST = 1_000_000  # tokens
LEAST_LABELS = 8
LEAST_KINDS = 3  # of labels: a few are alike by chance
LEAST_STEPS = 4
FAR = 1e-4  # of the largest output: how much a first one must change
MOST_NODES = 2000


class Foresight:
    """What the latest forward was given, and the modules whose labels were found in it."""

    def __init__(self) -> None:
        self.left = LOOKS
        self.read = READ
        self.given: tuple[weakref.ref[nn.Module], list[torch.Tensor]] | None = None
        self.due: weakref.WeakKeyDictionary[nn.Module, tuple[int, int, int, Site | None]] = (
            weakref.WeakKeyDictionary()
        )
        self.tried: weakref.WeakSet[nn.Module] = weakref.WeakSet()

    def forward(self, recorder: "Recorder", module: nn.Module, args: Any, kwargs: Any) -> None:
        """After a root module's forward in training."""
        if not self.due and not (self.read > 0 and recorder.cadence.looking):
            return
        if module in self.tried or not module.training or not torch.is_grad_enabled():
            return
        if recorder.place() is not None or overheard():
            return  # the extra look's forward may be a collective, which all ranks join
        tokens = _tokens((args, kwargs))
        if not tokens:
            return
        due = self.due.pop(module, None)
        if due is not None:
            self.tried.add(module)
            self.left -= 1
            self._look(recorder, module, args, kwargs, due)
        elif self.read > 0 and recorder.cadence.looking:
            with recorder.quiet(), torch.no_grad():
                self.given = weakref.ref(module), [each.clone() for each in tokens]

    def before_backward(self, recorder: "Recorder", nodes: list[Any]) -> None:
        """Compare the labels of a loss with what the latest forward was given."""
        reference, tokens = self.given or (lambda: None, [])
        module, self.given = reference(), None
        if module is None:
            return
        self.read -= 1
        with recorder.quiet(), torch.no_grad():
            for node in nodes[:OPS_NEAR]:
                if stem(node.name()) not in ("NllLoss", "NllLoss2D"):
                    continue
                target, ignored = kept(node, "target"), signed(node._saved_ignore_index)
                if target is None:  # behind a hook
                    continue
                for place, ids in enumerate(tokens):
                    found = _relation(ids, target, ignored)
                    if found is not None:
                        site = recorder.detail.site_of(sequence_number(node))
                        self.due[module] = (*found, place, site)
                        return

    def _look(
        self,
        recorder: "Recorder",
        module: nn.Module,
        args: Any,
        kwargs: Any,
        due: tuple[int, int, int, Site | None],
    ) -> None:
        shift, axis, place, site = due
        tokens = _tokens((args, kwargs))
        if place >= len(tokens) or not small(module, tokens) or not quiet_code(recorder, module):
            return
        ids = tokens[place]
        with recorder.quiet(), own_numbers():
            try:
                twin = _Twin(recorder, module, (args, kwargs), ids, axis)
                where = twin.answered() if shift else twin.repeated()
            except Exception:  # a module that cannot be copied, or does not take other tokens
                return
        if where is not None:
            number, at = recorder.census.module(module), recorder.site()
            steps = int(ids.shape[axis])
            where = where[0] if shift else site
            recorder.emit(
                Foreseen(recorder.index(), recorder.step, at, number, shift, steps, where)
            )


def _tokens(given: Any) -> list[torch.Tensor]:
    return [
        tensor
        for tensor in tensors_in(given)
        if tensor.dtype in (torch.int64, torch.int32)
        and tensor.dim() == 2
        and min(tensor.shape) > 0
        and max(tensor.shape) >= LEAST_STEPS
        and tensor.numel() <= MOST
        and not tensor.is_meta
    ]


def _relation(ids: torch.Tensor, target: torch.Tensor, ignored: int) -> tuple[int, int] | None:
    """By how many places the labels are ahead of the tokens, 1 or 0, and along which dimension."""
    for axis in (1, 0):
        steps = ids.shape[axis]
        if steps < LEAST_STEPS:
            continue
        for short in (0, 1):  # the last place may have none
            shape = list(ids.shape)
            shape[axis] -= short
            if target.numel() != shape[0] * shape[1]:
                continue
            labels = target.reshape(shape)
            fits = [shift for shift in (0, 1) if _fits(ids, labels, ignored, axis, shift)]
            if len(fits) == 1:
                return fits[0], axis
    return None


def _fits(ids: torch.Tensor, labels: torch.Tensor, ignored: int, axis: int, shift: int) -> bool:
    size = min(labels.shape[axis], ids.shape[axis] - shift)
    labels, ids = labels.narrow(axis, 0, size), ids.narrow(axis, shift, size)
    kept = labels != ignored
    count = int(kept.sum())
    if count < max(LEAST_LABELS, labels.numel() // 4):
        return False
    if not bool(kept.select(axis, 0).all()):
        return False  # the beginning is given, and may be taken in whole
    labels = labels[kept]
    return bool((labels == ids[kept]).all()) and len(labels.unique()) >= LEAST_KINDS


class _Twin:
    """A copy of a module in eval mode, and the call that it is given with other tokens."""

    def __init__(
        self, recorder: "Recorder", module: nn.Module, call: Any, ids: torch.Tensor, axis: int
    ) -> None:
        self.recorder, self.call, self.ids, self.axis = recorder, call, ids, axis
        self.module = copy.deepcopy(module).eval()
        for child in members.modules(self.module):
            child.training = False  # though a class's own `train` may keep it from its children
        self.state = torch.get_rng_state()

    def answered(self) -> tuple[Site | None] | None:
        """Where the first output comes to depend on later tokens; None where it does not, or where
        it may be meant: the tokens are taken in twice, or go through something that has no time."""
        ids, axis = self.ids, self.axis
        steps = ids.shape[axis]
        other = ids.clone()
        other.narrow(axis, 1, steps - 1).copy_(ids.narrow(axis, 1, steps - 1).flip(axis))
        if not self._changes(other, 0, 1):
            return None
        with graph_of_copy():
            output, nodes = self._graph(self.call, ids)
        shorter = ids.narrow(axis, 0, steps - 1)
        with graph_of_copy(lines=False):
            _, fewer = self._graph(_cut(self.call, ids, axis), shorter)
        weights = {id(parameter) for parameter in members.parameters(self.module)}
        if len(nodes) != len(fewer) or sum(_looks_up(node, ids) for node in nodes) != 1:
            return None
        taken = set(of_inputs(nodes, weights))
        pairs = [pair for pair in zip(nodes, fewer, strict=True) if pair[0] in taken]
        slopes = torch.autograd.grad(
            output.narrow(axis, 0, 1).sum(),
            [GradientEdge(node, 0) for node, _ in pairs],
            allow_unused=True,
            retain_graph=True,
        )
        for (node, less), slope in zip(pairs, cast("tuple[Any, ...]", slopes), strict=True):
            used = slope is not None and bool(slope.ne(0).any())
            if node.name() != less.name() or (used and shape_at(node) == shape_at(less)):
                return None
        if ids.shape[0] == ids.shape[1]:
            return (None,)
        return (spot(self.recorder, self.module, output.movedim(axis, 0), 0)[2],)

    def repeated(self) -> tuple[None] | None:
        """Whether each output depends on the tokens up to its own place, and on none after. Where
        it does not depend on its own, the model shifts them itself."""
        ids, axis = self.ids, self.axis
        steps = ids.shape[axis]
        later, first, last = ids.clone(), ids.clone(), ids.clone()
        later.narrow(axis, 1, steps - 1).copy_(ids.narrow(axis, 1, steps - 1).flip(axis))
        first.narrow(axis, 0, 1).copy_(ids.narrow(axis, steps // 2, 1))
        last.narrow(axis, steps - 1, 1).copy_(ids.narrow(axis, steps // 2, 1))
        if self._changes(later, 0, 1) or not self._changes(first, 1, steps - 1):
            return None
        if not self._changes(last, steps - 1, 1):
            return None
        return (None,)

    def _changes(self, other: torch.Tensor, start: int, length: int) -> bool:
        """Whether outputs of so many places change when the tokens are these. Raises ValueError
        where the same tokens give other outputs, or none of the outputs changes."""
        with torch.no_grad():
            plain, changed, again = (self._output(ids) for ids in (self.ids, other, self.ids))
        if not torch.equal(plain, again) or torch.equal(plain, changed):
            raise ValueError("outputs that change by chance, or not at all")
        off = (plain - changed).narrow(self.axis, start, length).abs().max()
        return float(off) > FAR * float(plain.abs().max())

    def _output(self, ids: torch.Tensor) -> torch.Tensor:
        torch.set_rng_state(self.state)
        args, kwargs = _put(self.call, self.ids, ids)
        return _logits(tensors_in(self.module(*args, **kwargs)), ids)

    def _graph(self, call: Any, ids: torch.Tensor) -> tuple[torch.Tensor, list[Any]]:
        """The output, and the nodes behind it."""
        torch.set_rng_state(self.state)
        args, kwargs = call
        output = _logits(tensors_in(self.module(*args, **kwargs)), ids)
        nodes = Walk([output]).nodes
        if len(nodes) > MOST_NODES:
            raise ValueError("too long a graph")
        return output, nodes


def _logits(outputs: Iterable[torch.Tensor], ids: torch.Tensor) -> torch.Tensor:
    """The first output with a row for each token, in the layout of the tokens."""
    for output in outputs:
        if output.is_floating_point() and output.dim() == 3 and output.shape[:2] == ids.shape:
            return output.float()
        if output.is_floating_point() and output.dim() == 2 and len(output) == ids.numel():
            return output.float().unflatten(0, tuple(ids.shape))
    raise ValueError("no output for each token")


def _put(value: Any, old: torch.Tensor, new: torch.Tensor) -> Any:
    if value is old:
        return new
    if isinstance(value, dict):
        return {key: _put(item, old, new) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_put(item, old, new) for item in value)
    return value


def _cut(value: Any, ids: torch.Tensor, axis: int) -> Any:
    """The call with one token less, in all that has the tokens' shape."""
    if isinstance(value, torch.Tensor):
        whole = value.shape != ids.shape
        return value if whole else value.narrow(axis, 0, ids.shape[axis] - 1).contiguous()
    if isinstance(value, dict):
        return {key: _cut(item, ids, axis) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_cut(item, ids, axis) for item in value)
    return value


def _looks_up(node: Any, ids: torch.Tensor) -> bool:
    """Whether this takes the rows of a table for the tokens."""
    if stem(node.name()) != "Embedding":
        return False
    indices = kept(node, "indices")
    if indices is None or indices.numel() != ids.numel():
        return False
    return torch.equal(*(each.flatten().sort().values for each in (indices.to(ids), ids)))
