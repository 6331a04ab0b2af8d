"""Slopes: what SL607 knows of the looks at one optimizer, and what in a graph has no slope."""

from collections.abc import Collection, Iterator

from steplens.model.event import Values
from steplens.model.graph import OPS_READ, GraphReading, Op
from steplens.model.site import Site
from steplens.rules.chains import MIXING, below, stem

FLAT = {"RoundBackward0": "round", "SignBackward0": "sign", "FloorBackward0": "floor",
        "CeilBackward0": "ceil", "TruncBackward0": "trunc"}  # fmt: skip
SIGNS = {"AddBackward0": (1, 1), "SubBackward0": (1, -1)}
CANCELLED = "cancelled"
MOVED = 1e-4  # of a weight's size, in one step
FLATTENING = frozenset(("Relu", "Threshold", "Clamp", "ClampMin", "ClampMax", "Hardtanh",
                        "Hardsigmoid", "Sigmoid", "Tanh"))  # fmt: skip


class Past:
    """The looks at one optimizer so far. ``open``: no gradient but zero yet. ``since`` is the step
    from which all looks, ``zeros`` of them, saw none after there had been some, ``seen`` the
    newest of those; ``end`` the op below the loss that may have become flat."""

    __slots__ = ("looks", "losses", "open", "why", "zeros", "since", "seen", "end")

    def __init__(self) -> None:
        self.looks = 0
        self.losses: set[float] = set()
        self.open = True
        self.why: tuple[str, Site | None] = ("", None)
        self.zeros = 0
        self.since = 0
        self.seen: Values | None = None
        self.end: tuple[str, Site | None] = ("", None)

    def later(self, event: Values) -> None:
        """A look at a run that has had gradients: are they gone? A loss of 0 has come to its end,
        as hinge losses do."""
        if event.gradient != 0 or event.bad or not event.loss:
            self.zeros = 0
            return
        if not self.zeros:
            self.since = event.step
        self.zeros += 1
        self.seen = event


def flat(graph: GraphReading) -> tuple[str, Site | None]:
    """What in the graph makes the loss constant, in words, and where."""
    for op in graph.ops:
        if op.name in ("LogSoftmaxBackward0", "SoftmaxBackward0") and op.shape:
            dim = op.saved.get("dim", -1)
            size = len(op.shape)
            if isinstance(dim, int) and -size <= dim < size and op.shape[dim] == 1:
                return "its softmax is over a single class", op.site
        if op.name in FLAT:
            return f"`{FLAT[op.name]}` has no slope", op.site
    return "", None


def walled(graph: GraphReading, tensors: Collection[int]) -> tuple[str, Site | None, set[int]]:
    """The op without a slope that stands on every way from the loss to some of these tensors: its
    name and line, and those tensors. Nothing is said of a graph that was not read to its end."""
    if not 0 < len(graph.ops) < OPS_READ:
        return "", None, set()
    walls = {place: wall(op) for place, op in enumerate(graph.ops) if wall(op)}
    gone = cancelled(graph)
    reached: set[int] = set()
    seen, queue = {0}, [0]
    for place in queue:
        op = graph.ops[place]
        if place not in walls:
            reached.update(op.leaves)
            new = [
                source
                for source in op.inputs
                if source >= 0 and source not in seen and (place, source) not in gone
            ]
            seen.update(new)
            queue += new
    for (place, source), sum_ in gone.items():
        behind = {
            t for each in below(graph, source, lambda _: False) for t in graph.ops[each].leaves
        }
        off = behind.union(graph.ops[source].leaves).intersection(tensors) - reached
        if off and place in seen:
            return CANCELLED, graph.ops[sum_].site, off
    for place in [place for place in queue if place in walls]:
        behind = {
            t for each in below(graph, place, lambda _: False) for t in graph.ops[each].leaves
        }
        if walls[place] == "layer_norm":  # its own weight and bias have slopes
            behind -= {*graph.ops[place].leaves}
        off = behind.intersection(tensors) - reached
        if off:
            return walls[place], graph.ops[place].site, off
    return "", None, set()


def cancelled(graph: GraphReading) -> dict[tuple[int, int], int]:
    """The edges (op, input) of sums in which an input is added and taken off again (``z + (q - z)``
    without `detach`), with the sum: what goes back along them adds up to zero."""
    takers: dict[int, int] = {}
    for op in graph.ops:
        for source in op.inputs:
            takers[source] = takers.get(source, 0) + 1
    found: dict[tuple[int, int], int] = {}
    for place, op in enumerate(graph.ops):
        terms = [*_terms(graph, place)] if op.name in SIGNS else []
        terms += [
            (inner, source, sign * within)
            for _, source_, sign in terms
            if source_ >= 0 and graph.ops[source_].name in SIGNS and takers[source_] == 1
            for inner, source, within in _terms(graph, source_)
        ]
        for _, source, _ in terms:
            signs = [sign for _, each, sign in terms if each == source]
            if source >= 0 and len(signs) > 1 and not sum(signs):
                found.update({(at, source): place for at, each, _ in terms if each == source})
    return found


def _terms(graph: GraphReading, place: int) -> Iterator[tuple[int, int, int]]:
    """The inputs of a sum or difference, with their signs."""
    op = graph.ops[place]
    for source, sign in zip(op.inputs, SIGNS[op.name], strict=False):
        yield place, source, sign


def wall(op: Op) -> str:
    """What an op through which no gradient passes is called, '' for any other: one without a slope,
    a layer norm over a single element."""
    if op.name == "NativeLayerNormBackward0" and op.shape[-1:] == (1,):
        return "layer_norm"
    return FLAT.get(op.name, "")


def flattening(graph: GraphReading) -> tuple[str, Site | None]:
    """The first op below the loss, before any layer with weights, that has no slope over a part of
    its inputs: its name and line."""
    for place in below(graph, 0, lambda name: name in MIXING):
        name = stem(graph.ops[place])
        if name in FLATTENING:
            return name.lower(), graph.ops[place].site
    return "", None


def movers(event: Values) -> set[int]:
    """Tensors that the step moved by more of their size than weight decay alone takes."""
    return {
        size.tensor
        for size in event.sizes
        if 0 < MOVED * (size.weight or 0.0) <= (size.update or 0.0)
    }
