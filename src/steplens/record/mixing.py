"""Mixing: the operation of a graph at which the samples of a batch mix."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.autograd.graph import GradientEdge

from steplens.model.site import Site
from steplens.record import members
from steplens.record.graph import ACCUMULATE, Walk, sequence_number
from steplens.record.nodes import outputs, shape_at, stem

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MOST_NODES = 400
VIEWS = frozenset(("View", "UnsafeView", "ReshapeAlias", "AsStrided"))
SOFT = frozenset(("Softmax", "LogSoftmax", "SafeSoftmax"))
PRODUCTS = frozenset((
    "Mm", "Bmm", "Addmm", "Baddbmm", "ScaledDotProductFlashAttentionForCpu",
    "ScaledDotProductEfficientAttention", "ScaledDotProductFlashAttention",
))  # fmt: skip
REDUCED = frozenset((
    "Mean", "Sum", "Var", "Std", "VarMean", "StdMean", "Max", "Min", "Amax", "Amin", "Median",
    "Norm", "LinalgVectorNorm", "Logsumexp", "Prod", "Cumsum", "Sort", "Topk", "NativeBatchNorm",
))  # fmt: skip
SEQUENCES = ("nn/modules/rnn.py", "nn/modules/transformer.py", "multi_head_attention_forward")
TABLES = frozenset(("Embedding", "Index", "IndexSelect", "Gather"))


def spot(
    recorder: "Recorder", module: nn.Module, output: torch.Tensor, row: int
) -> tuple[str, str, Site | None]:
    """The first operation whose output belongs to one sample while something that it was given does
    not; its name, its form and its line. ``row`` of the ``output`` hangs on several samples."""
    batch = output.shape[0]
    weights = {id(parameter) for parameter in members.parameters(module)}
    nodes = sorted(of_inputs(Walk([output]).nodes, weights), key=_made)[:MOST_NODES]
    # an operation may have several results, as a `chunk` has
    results = [(node, place) for node in nodes for place in range(len(outputs(node)))]
    edges = [GradientEdge(node, place) for node, place in results]
    slopes = torch.autograd.grad(output[row].sum(), edges, allow_unused=True)
    layouts = _layouts(nodes, batch)
    own: dict[Any, bool] = {}
    for (node, _), slope in zip(results, cast("tuple[Any, ...]", slopes), strict=True):
        if slope is not None and bool(slope.ne(0).any()):
            own[node] = own.get(node, True) and _own(slope, batch, row, layouts)
    mine = [node for node in nodes if own.get(node) and type(node) is not ACCUMULATE]
    for node in [*[node for node in mine if _mixes(node, own, nodes)], *mine[:1]]:
        return _named(recorder, node, own, nodes, batch)
    return "", "other", None


def _made(node: Any) -> int:
    """When a node was made; leaves come first."""
    return -1 if type(node) is ACCUMULATE else sequence_number(node)


def of_inputs(nodes: list[Any], weights: set[int]) -> list[Any]:
    """Those nodes of a whole graph that are not made of weights alone."""
    takers: dict[Any, list[Any]] = {}
    waiting: list[Any] = []
    for node in nodes:
        foreign = type(node) is ACCUMULATE and id(node.variable) not in weights
        if foreign or stem(node.name()) in TABLES:
            waiting.append(node)
        for child, _ in node.next_functions:
            takers.setdefault(child, []).append(node)
    found = set(waiting)
    while waiting:
        new = [taker for taker in takers.get(waiting.pop(), ()) if taker not in found]
        found.update(new)
        waiting += new
    return [node for node in nodes if node in found]


def _mixes(node: Any, own: dict[Any, bool], nodes: list[Any]) -> bool:
    """Whether something that a node was given belongs to several samples, and not because of
    another operation that was given the same."""
    for child in {child for child, _ in node.next_functions if own.get(child) is False}:
        takers = [n for n in nodes if any(each is child for each, _ in n.next_functions)]
        if all(own.get(taker, True) for taker in takers):
            return True
    return False


def _own(slope: torch.Tensor, batch: int, row: int, layouts: dict[int, int]) -> bool:
    """Whether a gradient lies in one sample only, along a dimension of the batch's size, or one in
    which the batch and others beside it were made one."""
    slope = slope.detach()
    for dim, size in enumerate(slope.shape):
        parts = [slope.movedim(dim, 0)] if size == batch else []
        if size > batch and size % batch == 0:
            before = layouts.get(size, 1)
            split = slope.unflatten(dim, (before, batch, size // (before * batch)))
            parts.append(split.movedim(dim + 1, 0))
        for part in parts:
            rest = part.clone()
            rest[row] = 0
            if not bool(rest.ne(0).any()):
                return True
    return False


def _layouts(nodes: list[Any], batch: int) -> dict[int, int]:
    """Of each dimension that a view made of the batch and others: how many elements of those before
    it, as time has that comes first. What is not known here has the batch first."""
    found: dict[int, int] = {}
    for node in nodes:
        if stem(node.name()) in VIEWS:
            given, made = getattr(node, "_saved_self_sym_sizes", ()), shape_at(node)
            for group in _merged([int(size) for size in given], [*made]):
                size = math.prod(group)
                if batch in group and size not in found:
                    found[size] = math.prod(group[: group.index(batch)])
    return found


def _merged(given: list[int], made: list[int]) -> list[list[int]]:
    """The dimensions that a view made one, each as a list; none where it also cuts one up."""
    groups: list[list[int]] = []
    place = 0
    for size in made:
        group: list[int] = []
        while place < len(given) and math.prod(group) * given[place] <= size:
            group.append(given[place])
            place += 1
        if math.prod(group) != size:
            return []
        groups.append(group)
    return [group for group in groups if len(group) > 1]


def _named(
    recorder: "Recorder", node: Any, own: dict[Any, bool], nodes: list[Any], batch: int
) -> tuple[str, str, Site | None]:
    shared = [child for child, _ in node.next_functions if child in own and not own[child]]
    name = stem(node.name())
    reduced = [child for child in shared if stem(child.name()) in REDUCED]
    if name not in VIEWS | SOFT | PRODUCTS and reduced:
        node, name = reduced[0], stem(reduced[0].name())
    traceback = list(node.metadata.get("traceback_", ()))
    lifted = any(
        shape_at(each)[:2] == (1, batch) and not own.get(each, True) and not _in_sequence(each)
        for each in nodes
    )
    if _in_sequence(node):
        form = "other" if lifted else "sequence"
    elif name in VIEWS:
        form = "view"
    elif name in SOFT:
        form = "softmax"
    elif name in PRODUCTS:
        meant = lifted or _by_constant(node) or _by_pairs(node, own, batch)
        form = "other" if meant else "product"
    else:
        form = "reduction" if name in REDUCED else "other"
    return node.name(), form, _site(recorder, traceback)


def _by_constant(node: Any) -> bool:
    """Whether a product has a matrix without a gradient on one side: a graph that the program made
    of the samples, as of those that lie nearest to each other."""
    if stem(node.name()) not in ("Mm", "Bmm", "Addmm", "Baddbmm"):
        return False
    return any(child is None for child, _ in node.next_functions[-2:])


def _by_pairs(node: Any, own: dict[Any, bool], batch: int) -> bool:
    """Whether a plain product makes or takes a matrix of the samples, with a row and a column for
    each: weights between samples, where no dimension is left that the batch was taken for."""
    if stem(node.name()) not in ("Mm", "Addmm"):
        return False
    sides = [child for child, _ in node.next_functions[-2:]]
    squares = [side for side in (node, *sides) if side in own or side is node]
    of_both = all(side in own for side in sides)
    return any(
        tuple(shape_at(each)) == (batch, batch) and (each is not node or of_both)
        for each in squares
    )


def _in_sequence(node: Any) -> bool:
    """Whether a recurrent or attention layer of torch made the node."""
    text = "".join(node.metadata.get("traceback_", ()))
    return any(mark in text for mark in SEQUENCES)


def _site(recorder: "Recorder", traceback: list[str]) -> Site | None:
    """The innermost line of the user's in a traceback as anomaly mode keeps it."""
    found: Site | None = None
    for file, line, function in _frames(traceback):
        if recorder.places._owns_file(file):
            name, cell = recorder.places.file(file)
            found = Site(name, line, 1, 0, 0, function, cell)
    return found


def _frames(traceback: list[str]) -> Iterator[tuple[str, int, str]]:
    for part in traceback:
        head = part.strip().partition("\n")[0]
        if head.startswith('File "'):
            file, _, rest = head[6:].partition('", line ')
            number, _, function = rest.partition(", in ")
            if number.isdigit():
                yield file, int(number), function
