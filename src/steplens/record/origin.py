"""Where the first non-finite value came from: operations with singular points, and their lines."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Origin
from steplens.model.site import Site
from steplens.record.graph import Walk, sequence_number
from steplens.record.nodes import MEAN
from steplens.record.operands import made_at, returned_at
from steplens.record.saved import names, saved

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

Count = Callable[[Any], torch.Tensor | None]


def _saved(node: Any, name: str) -> torch.Tensor:
    return saved(node, name).detach()


def _not_positive(name: str) -> Count:
    return lambda node: _saved(node, name).gt(0).logical_not_().sum()


def _not_finite(name: str) -> Count:
    return lambda node: _saved(node, name).isfinite().logical_not_().sum()


def _nan(name: str) -> Count:
    return lambda node: _saved(node, name).isnan().sum()


def _not_inside(low: float, high: float) -> Count:
    def count(node: Any) -> torch.Tensor:
        value = _saved(node, "self")
        return (value.gt(low) & value.lt(high)).logical_not_().sum()

    return count


def _zero_divisor(node: Any) -> torch.Tensor | None:
    return _saved(node, "other").ne(0).logical_not_().sum()


def _power(node: Any) -> torch.Tensor | None:
    exponent = float(saved(node, "exponent"))
    value = None
    if exponent >= 1 and exponent == math.floor(exponent):
        return None
    if exponent < 0 and exponent == math.floor(exponent):
        value = _saved(node, "self").ne(0)
    elif exponent < 1:
        value = _saved(node, "self").gt(0)
    else:
        value = _saved(node, "self").ge(0)
    return value.logical_not_().sum()


def _both_zero(node: Any) -> torch.Tensor | None:
    return (_saved(node, "self").eq(0) & _saved(node, "other").eq(0)).sum()


def _no_label(node: Any) -> torch.Tensor | None:
    return _saved(node, "total_weight").eq(0) if node._saved_reduction == MEAN else None


def _no_element(node: Any) -> torch.Tensor | None:
    averaged = getattr(node, "_saved_reduction", MEAN) == MEAN
    if not averaged:
        return None
    numel = getattr(node, "_saved_self_sym_numel", None)
    return (
        torch.ones(()) if (_saved(node, "self").numel() if numel is None else numel) == 0 else None
    )


def _no_path(node: Any) -> torch.Tensor | None:
    if node._saved_zero_infinity:
        return None
    return _saved(node, "result0").isfinite().logical_not_().sum()


EMPTY = "no element to average"
LABELS = "no label to average over"
LONG = "a target longer than its input allows"
HANDED_ON = "LogSoftmaxBackward0"

# Nodes whose output or gradient is infinite or undefined at some finite inputs: what they are
# called, the words for the singular point, and a count of the elements that stand there. Claims
# tried on torch 2.13; norms, distances, std and atan2 define their gradient at zero and are safe.
SINGULAR: dict[str, tuple[str, str, Count]] = {
    "SqrtBackward0": ("sqrt", "0 or less under the root", _not_positive("result")),
    "RsqrtBackward0": ("rsqrt", "0 or less under the root", _not_finite("result")),
    "LogBackward0": ("log", "0 or less", _not_positive("self")),
    "Log2Backward0": ("log2", "0 or less", _not_positive("self")),
    "Log10Backward0": ("log10", "0 or less", _not_positive("self")),
    "Log1PBackward0": ("log1p", "-1 or less", _not_inside(-1.0, math.inf)),
    "PowBackward0": ("pow", "a base without a finite power or slope", _power),
    "PowBackward2": ("pow", "a power beyond the largest number", _not_finite("result")),
    "DivBackward0": ("division", "0 as divisor", _zero_divisor),
    "ReciprocalBackward0": ("reciprocal", "0 as divisor", _not_finite("result")),
    "AcosBackward0": ("acos", "1 or more in size", _not_inside(-1.0, 1.0)),
    "AsinBackward0": ("asin", "1 or more in size", _not_inside(-1.0, 1.0)),
    "AtanhBackward0": ("atanh", "1 or more in size", _not_inside(-1.0, 1.0)),
    "AcoshBackward0": ("acosh", "1 or less", _not_inside(1.0, math.inf)),
    "ErfinvBackward0": ("erfinv", "1 or more in size", _not_inside(-1.0, 1.0)),
    "LogitBackward0": ("logit", "outside of 0 to 1", _not_inside(0.0, 1.0)),
    "ExpBackward0": ("exp", "a power beyond the largest number", _not_finite("result")),
    "Expm1Backward0": ("expm1", "a power beyond the largest number", _not_finite("result")),
    "StdBackward0": ("std", "no degree of freedom", _not_finite("result")),
    "HypotBackward0": ("hypot", "both sides 0", _both_zero),
    "XlogyBackward0": ("xlogy", "both sides 0", _both_zero),
    "SpecialEntrBackward0": ("entr", "0 or less", _not_positive("self")),
    "SoftmaxBackward0": ("softmax", "a row without a finite entry", _not_finite("result")),
    HANDED_ON: ("log_softmax", "a row without a finite entry", _nan("result")),
    "NllLossBackward0": ("nll_loss", LABELS, _no_label),
    "NllLoss2DBackward0": ("nll_loss", LABELS, _no_label),
    "MeanBackward0": ("mean", EMPTY, _no_element),
    "MseLossBackward0": ("mse_loss", EMPTY, _no_element),
    "SmoothL1LossBackward0": ("smooth_l1_loss", EMPTY, _no_element),
    "HuberLossBackward0": ("huber_loss", EMPTY, _no_element),
    "BinaryCrossEntropyBackward0": ("binary_cross_entropy", EMPTY, _no_element),
    "BinaryCrossEntropyWithLogitsBackward0": (
        "binary_cross_entropy_with_logits",
        EMPTY,
        _no_element,
    ),
    "CtcLossBackward0": ("ctc_loss", LONG, _no_path),
    "CtcLossBackward1": ("ctc_loss", LONG, _no_path),
}
FIRSTS = 8  # operations of a graph whose lines are remembered
LOOKS = 64  # for them, from the first
RESULTS = ("result", "output", "out", "result0", "result1")


class Suspect:
    """A node of one backward that may be singular: its name, its place, and how many elements
    stand there."""

    __slots__ = ("name", "number", "key", "site", "forward", "count", "reach")

    def __init__(self, name: str, number: int, key: tuple[int, int]) -> None:
        self.name = name
        self.number = number
        self.key = key
        self.site: Site | None = None
        self.forward = -1
        self.count: torch.Tensor | None = None
        self.reach: float = 0.0


class Origins:
    """Knows the operations with singular points in each backward, and the lines that make them.

    The line of a node is known in the detail window only; as a loss graph has the same structure at
    every step, the node at the same position of a graph of the same types has the same line later.
    """

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        self.kinds: dict[type, str] = {}  # node type -> its name, '' when it has no singular point
        self.lines: dict[tuple[int, int], Site] = {}
        self.names: dict[str, set[Site]] = {}
        self.looks = 0
        self.firsts: dict[tuple[type, ...], list[Site]] = {}  # of the first operations of a graph

    def remember(self, walk: Walk) -> None:
        """In the detail window: the lines of the first operations, which are given the data."""
        self.looks += 1
        if self.looks > LOOKS:
            return
        nodes = _first(walk)
        kinds = tuple([type(node) for node in nodes])
        if kinds in self.firsts:
            return
        sites = [self.recorder.detail.site_of(sequence_number(node)) for node in nodes]
        known = [site for site in sites if site is not None]
        if known and len(known) == len(sites):
            self.firsts[kinds] = known

    def suspects(self, walk: Walk) -> list[Suspect]:
        """The nodes with singular points, in the order of the forward."""
        kinds = self.kinds
        found: list[tuple[int, Any, str]] = []
        for position, node in enumerate(walk.nodes):
            kind = type(node)
            name = kinds.get(kind)
            if name is None:
                name = kind.__name__ if kind.__name__ in SINGULAR else ""
                kinds[kind] = name
            if name:
                found.append((position, node, name))
                if len(found) >= 64:
                    break
        if not found:
            return []
        signature = hash(tuple([type(node) for node in walk.nodes]))
        suspects = [self._suspect(node, name, (signature, place)) for place, node, name in found]
        suspects.sort(key=lambda suspect: suspect.number)
        return suspects

    def _suspect(self, node: Any, name: str, key: tuple[int, int]) -> Suspect:
        suspect = Suspect(name, sequence_number(node), key)
        site = self.recorder.detail.site_of(suspect.number)
        if site is not None:
            if len(self.lines) < 4096:
                self.lines[key] = site
                self.names.setdefault(name, set()).add(site)
        else:
            site = self.lines.get(key)
            if site is None and len(known := self.names.get(name, ())) == 1:
                site = next(iter(known))
        suspect.site = site
        return suspect

    def measure(self, walk: Walk, suspects: list[Suspect]) -> None:
        """Queue, for each suspect, how many elements stand at its singular point."""
        for suspect in suspects:
            try:
                suspect.count = SINGULAR[suspect.name][2](walk.nodes[suspect.key[1]])
            except RecursionError:  # it is a RuntimeError, but no word of the node's
                raise
            except (AttributeError, RuntimeError, TypeError, NotImplementedError):
                suspect.count = None  # not saved, overwritten, or of a kind that cannot be compared

    def blame(self, suspects: list[Suspect], how: str) -> Origin | None:
        """The operation that made it: the first that stood at its singular point. A `log_softmax`
        hands on what its input has: it made a NaN that the loss does not show."""
        for suspect in suspects:
            if how == "forward" and suspect.name == HANDED_ON:
                continue
            if suspect.count is not None and (count := int(suspect.count)):
                words, point, _ = SINGULAR[suspect.name]
                return Origin(words, how, point, suspect.site, count, True)
        return None

    def guess(self, walk: Walk) -> Origin | None:
        """The only operation that can have made a NaN in the gradient of an earlier graph like this
        one. All its inputs that depend on parameters are NaN by now, so what still stands at no
        singular point (a division by 2) never did. A `log_softmax` of NaN tells nothing."""
        suspects = [each for each in self.suspects(walk) if each.name != HANDED_ON]
        self.measure(walk, suspects)
        able = [s for s in suspects if s.count is not None and int(s.count)]
        if len(able) != 1:
            return None
        words, point, _ = SINGULAR[able[0].name]
        return Origin(words, "gradient", point, able[0].site, 0, False)

    def trace(self, walk: Walk) -> Origin | None:
        """The first operation of a graph, in the order of the forward, that saved a NaN or an
        infinity; -inf only where there is nothing else, as masks say 'not this one' by it. Reads
        every saved tensor: only for a loss that is not finite."""
        firsts = _first(walk)
        lines = self.firsts.get(tuple([type(node) for node in firsts]), ())
        known = {id(node): line for node, line in zip(firsts, lines, strict=False)}
        nodes = walk.operations()
        nodes.sort(key=sequence_number)
        kept = [(node, name) for node in nodes for name in names(node)]
        for masks in (True, False):
            for node, name in kept:
                count = _bad_elements(node, name, masks)
                if count:
                    return self._traced(node, name, count, known.get(id(node)))
        return None

    def _traced(self, node: Any, name: str, count: int, known: Site | None) -> Origin:
        number = sequence_number(node)
        site = self.recorder.detail.site_of(number) or known
        site = site or self.recorder.forwards.sites.get(self.recorder.forwards.of(number))
        made = name in RESULTS
        words = str(node.name()).partition("Backward")[0].lower()
        source = None
        if not made and site is not None:
            places = self.recorder.places
            source = made_at(places, site, words, name) or returned_at(places, site)
        point = "its result" if made else "its input"
        return Origin(words, "forward" if made else "input", point, site, count, True, source)


def _first(walk: Walk) -> list[Any]:
    """The first operations of a graph, in the order of the forward."""
    nodes = walk.operations()
    return sorted(nodes, key=sequence_number)[:FIRSTS]


def _bad_elements(node: Any, name: str, masks: bool) -> int:
    """How many elements are not finite, but for -inf where there may be ``masks``."""
    try:
        value = saved(node, name)
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return 0
        bad = value.isnan() | value.isposinf() if masks else value.isfinite().logical_not_()
        return int(bad.sum())
    except (RuntimeError, NotImplementedError):  # freed, overwritten or foreign
        return 0
