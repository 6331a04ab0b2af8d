"""Probe of draws: samples that `sample` drew without a gradient from a distribution that is being
trained, and that a loss goes through, or gives one weight whatever came of them."""

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import distributions

from steplens.model.event import Drawn
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.graph import Walk, sequence_number
from steplens.record.saved import saved_tensors
from steplens.record.scores import many, weight
from steplens.record.silence import unheard
from steplens.record.wrap import overhear
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

KEPT = 16  # samples until the next backward
TIMES = 2  # backward passes through samples of one line
ALIKE = 4  # backward passes that give the `log_prob` of one line the same weight
TRIES = 8  # of them that are looked at
MOST_NODES = 5000
ROWS = 4  # of a sample, copied
WITHIN = 3  # distributions within each other
NORMAL = "torch.normal"  # its derivative is 0 by definition
LAYERS = ("Addmm", "Mm", "Bmm", "Convolution")  # what it goes into, other than its own density


class Sample:
    """A sample, the nodes that made what it was drawn from, and a few rows of it."""

    __slots__ = ("tensor", "made_of", "kind", "site", "rows")

    def __init__(
        self, tensor: torch.Tensor, made_of: list[int], kind: str, site: Site | None
    ) -> None:
        self.tensor = weakref.ref(tensor)
        self.made_of = made_of
        self.kind = kind
        self.site = site
        values = tensor.detach()
        self.rows = values[:ROWS].clone() if values.dim() > 1 else None

    def within(self, kept: dict[int, bool], layers: list[torch.Tensor]) -> bool:
        """Whether the graph keeps the sample; or a layer does, beside a condition, as `cat` of the
        two lays them."""
        sample = self.tensor()
        at = pointer(sample) if sample is not None else 0
        if at and at in kept:
            return self.kind != NORMAL or kept[at]
        return self.rows is not None and any(_beside(each, self.rows) for each in layers)


class Draws:
    """The samples drawn since the last backward, and how often a loss went through those of each
    line."""

    def __init__(self) -> None:
        self.open = Newest[int, Sample](KEPT)
        # the `log_prob` of samples: the node that made it, its shape
        self.scores = Newest[int, tuple[int, tuple[int, ...], str, Site | None]](KEPT)
        self.weights: dict[Site | None, float] = {}
        self.times: dict[Site | None, int] = {}
        self.left: dict[Site | None, int] = {}

    def before_backward(self, recorder: "Recorder", walk: Walk) -> None:
        """Look for the samples among what the graph keeps."""
        drawn, self.open = list(self.open.values()), Newest[int, Sample](KEPT)
        scores, self.scores = list(self.scores.values()), Newest(KEPT)
        if len(walk.nodes) > MOST_NODES or recorder.local.backward >= 0:
            return
        nodes = set(walk.sequence())
        kept: tuple[dict[int, bool], list[torch.Tensor]] | None = None
        for sample in drawn:
            left = self.left.get(sample.site, TRIES)
            if left <= 0 or nodes.isdisjoint(sample.made_of):
                continue
            self.left[sample.site] = left - 1
            with recorder.quiet():
                kept = kept or _kept(walk)
                found = sample.within(*kept)
            if found:
                self._count(recorder, sample.site, sample.kind, TIMES)
        for number, shape, kind, site in scores:
            if number in nodes and self.left.get(site, TRIES) > 0:
                self.left[site] = self.left.get(site, TRIES) - 1
                with recorder.quiet():
                    given = weight(walk, number)
                if not given:
                    self.left[site] = 0
                    continue
                if not many(shape) and self.weights.setdefault(site, given) != given:
                    self.left[site] = 0
                    continue
                self._count(recorder, site, kind, TIMES if many(shape) else ALIKE, given)

    def _count(
        self, recorder: "Recorder", site: Site | None, kind: str, times: int, found: float = 0.0
    ) -> None:
        self.times[site] = self.times.get(site, 0) + 1
        if self.times[site] == times:
            self.left[site] = 0
            recorder.emit(Drawn(recorder.index(), recorder.step, site, kind, times, found))

    def scored(self, value: Any, result: Any, made_of: list[int]) -> None:
        """A trained distribution was asked for the `log_prob` of a value."""
        known = self.open.pop(id(value), None)
        if known is not None and known.tensor() is value and known.made_of == made_of:
            kind, site = known.kind, known.site
        elif known is None and id(value) in self.scores:  # by a distribution around another
            _, _, kind, site = self.scores[id(value)]
        else:  # of something else, or by another distribution that is to learn it
            self.open.clear()
            self.scores.clear()
            return
        if isinstance(result, torch.Tensor) and result.grad_fn is not None:
            number = sequence_number(result.grad_fn)
            self.scores[id(value)] = number, tuple(result.shape), kind, site


def _kept(walk: Walk) -> tuple[dict[int, bool], list[torch.Tensor]]:
    """Where what the graph keeps lies, and whether a layer keeps it; and what layers keep."""
    kept: dict[int, bool] = {}
    layers: list[torch.Tensor] = []
    for node in walk.nodes:
        layer = str(node.name()).startswith(LAYERS)
        for each in saved_tensors(node):
            kept[pointer(each)] = kept.get(pointer(each), False) or layer
            if layer:
                layers.append(each.detach())
    return kept, layers


def _beside(held: torch.Tensor, rows: torch.Tensor) -> bool:
    """Whether these rows lie at the beginning or the end of the first ones that a layer keeps."""
    first, size = held[:ROWS] if held.dim() else held, rows.shape[-1]
    alike = first.shape[:-1] == rows.shape[:-1] and held.dtype == rows.dtype
    if not alike or held.device != rows.device or first.shape[-1] <= size or not size:
        return False
    return torch.equal(first[..., :size], rows) or torch.equal(first[..., -size:], rows)


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear ``sample`` and ``log_prob`` of torch's distributions, and ``torch.normal``."""
    draws, cadence = recorder.draws, recorder.cadence

    @unheard
    def sampled(sample: Any, distribution: Any, *_: Any, **__: Any) -> None:
        site = recorder.site()
        if not isinstance(sample, torch.Tensor) or draws.left.get(site, TRIES) <= 0:
            return
        trained = list(_trained(distribution))
        if trained and distribution.has_rsample and sample.is_floating_point():
            kind, nodes = type(distribution).__name__, [sequence_number(t.grad_fn) for t in trained]
            draws.open[id(sample)] = Sample(sample, nodes, kind, site)

    @unheard
    def scored(result: Any, distribution: Any, value: Any = None, *_: Any, **__: Any) -> None:
        made_of = [sequence_number(each.grad_fn) for each in _trained(distribution)]
        if made_of:
            draws.scored(value, result, made_of)

    def drawn() -> bool:
        return bool(draws.open or draws.scores)

    kinds = [distributions.Distribution, *_kinds(distributions.Distribution)]

    @unheard
    def normal(sample: Any, mean: Any = None, std: Any = None, *_: Any, **__: Any) -> None:
        made = [t for t in (mean, std) if isinstance(t, torch.Tensor) and t.grad_fn is not None]
        site = recorder.site()
        if made and isinstance(sample, torch.Tensor) and draws.left.get(site, TRIES) > 0:
            nodes = [sequence_number(t.grad_fn) for t in made]
            draws.open[id(sample)] = Sample(sample, nodes, NORMAL, site)

    asked = (
        ("sample", lambda: cadence.looking and torch.is_grad_enabled(), sampled),
        ("log_prob", lambda: drawn() and torch.is_grad_enabled(), scored),
    )
    return [
        overhear(recorder, "draws", torch, "normal", asked[0][1], normal),
        *(
            overhear(recorder, "draws", kind, name, due, heard)
            for name, due, heard in asked
            for kind in kinds
            if name in vars(kind)
        ),
    ]


def _kinds(kind: type) -> Iterator[type]:
    """torch's own distributions below this one, each once."""
    found = {each for each in vars(distributions).values() if isinstance(each, type)}
    yield from (each for each in found if issubclass(each, kind) and each is not kind)


def _trained(distribution: Any, depth: int = WITHIN) -> Iterator[torch.Tensor]:
    """The tensors of a distribution that come out of a graph."""
    for value in list(vars(distribution).values()):
        if isinstance(value, torch.Tensor) and value.grad_fn is not None:
            yield value
        elif isinstance(value, distributions.Distribution) and depth:
            yield from _trained(value, depth - 1)
