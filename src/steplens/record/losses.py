"""What a loss was given: broadcasts of prediction and target, the values of an NLL loss."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import torch

from steplens.model.graph import Broadcast, Labels, LogProbs, PaddedLabels, Single, Unreachable
from steplens.record.divisors import divided, labels_of
from steplens.record.matrices import crossing, of_two, separable
from steplens.record.nil import nil
from steplens.record.nodes import MEAN, SUM, kept, outputs, shape_at, stem
from steplens.record.padded import padded
from steplens.record.raw import LAYERS, MOST_TARGET, raw
from steplens.record.saved import saved, signed
from steplens.record.single import single
from steplens.record.turned import turned
from steplens.record.unreachable import unreachable

OPS_NEAR = 160  # ops from the loss down among which a loss is looked for
ROWS = 64  # rows of an NLL input that are read
GROWERS = frozenset(("Sub", "Rsub", "Add", "Mul", "Div", "Expand", "Maximum", "Minimum"))
LOSSES = frozenset(("MseLoss", "SmoothL1Loss", "HuberLoss"))
AFFINE = frozenset(("Sub", "Rsub", "Add", "Mul", "Div", "Neg", "ToCopy", "Maximum", "Minimum"))
SQUARES = frozenset(("Pow", "Norm", "LinalgVectorNorm", "Abs"))
BINARY = "BinaryCrossEntropyWithLogits"  # the one without logits refuses such labels itself
BEYOND = 1  # how far from 0 and 1 a label is none: noisy ones of a GAN lie between -0.3 and 1.3


Facts = tuple[
    tuple[Broadcast, ...],
    tuple[LogProbs, ...],
    tuple[int, ...],
    tuple[int, ...],
    tuple[int, ...],
    tuple[Labels, ...],
    tuple[tuple[float, ...], int],
    tuple[PaddedLabels, ...],
    tuple[Unreachable, ...],
    tuple[int, ...],
    tuple[int, int],
    tuple[Single, ...],
    tuple[int, ...],
]


def facts(nodes: Sequence[Any]) -> Facts:
    """Broadcasts, values given to NLL losses, ops with labels, differences from leaves, labels that
    a loss does not know or that are padding, divisors, and targets out of reach, of nodes from
    the loss down.

    Nothing is said of a graph that refuses to be read: a foreign node, a tensor written since; nor
    by torch 2.4, whose nodes do not tell the shapes of what they made.
    """
    nothing: Facts = (), (), (), (), (), (), ((), 0), (), (), (), (0, 0), (), ()
    try:
        if not nodes or not outputs(nodes[0]):
            return nothing
        with torch.no_grad():
            near = Looks(nodes)
            labelled = near.labelled() if near.over_batch() else ()
            apart, alike = near.differences()
            found = near.broadcasts(), near.log_probs(), labelled, apart, alike, near.labels()
            parted = divided(nodes)
            beyond = unreachable(near.nodes), nil(near.nodes), labels_of(nodes, parted)
            return (*found, parted, padded(nodes), *beyond, single(near.nodes), turned(nodes))
    except Exception:
        return nothing


class Looks:
    """The nodes near a loss: their stems, and which of them use which."""

    def __init__(self, nodes: Sequence[Any]) -> None:
        self.nodes = nodes[:OPS_NEAR]
        self.stems = [stem(node.name()) for node in self.nodes]
        self.places = places = {node: place for place, node in enumerate(self.nodes)}
        self.users: dict[int, list[int]] = {}
        for place, node in enumerate(self.nodes):
            for child, _ in node.next_functions:
                if child in places:
                    self.users.setdefault(places[child], []).append(place)

    def broadcasts(self) -> tuple[Broadcast, ...]:
        """The operations that made more of a prediction than it was, along its own batch."""
        found: list[Broadcast] = []
        for place, node in enumerate(self.nodes):
            if self.stems[place] in GROWERS:
                grown = self._grown(place, node)
                if grown is not None:
                    found.append(grown)
        return tuple(found)

    def _grown(self, place: int, node: Any) -> Broadcast | None:
        inputs = [(child, number) for child, number in node.next_functions if child is not None]
        if len(inputs) != 1 or not inputs[0][0].next_functions:
            return None
        prediction, result = shape_at(*inputs[0]), shape_at(node)
        spot = crossing(prediction, result)
        if spot is None:
            return None
        batch, other = spot
        target = self._operand(node, self.stems[place])
        if target is not None:
            sizes = (1,) * (len(result) - target.dim()) + tuple(target.shape)
            fits = len(sizes) == len(result) and sizes[batch] == 1 and sizes[other] > 1
            fits = fits or (sizes == result and of_two(target, batch, other))
            return Broadcast(place, prediction, tuple(target.shape), result) if fits else None
        for values in self._differences(place, result, 4):
            if separable(values, batch, other):
                return Broadcast(place, prediction, (), result)
        return None

    def _operand(self, node: Any, name: str) -> torch.Tensor | None:
        if name not in ("Mul", "Div"):
            return None
        for attribute in ("other", "self"):
            value = kept(node, attribute)
            if isinstance(value, torch.Tensor) and not value.requires_grad:
                return value
        return None

    def _differences(
        self, place: int, result: tuple[int, ...], depth: int, divisor: Any = None
    ) -> Iterator[Any]:
        """Pairs of tensors whose difference was worked on, or one and None where it is the
        difference itself, once multiplied again by what it has been divided by."""
        for user in self.users.get(place, ()):
            node, name = self.nodes[user], self.stems[user]
            if name in LOSSES:
                one, two = kept(node, "self"), kept(node, "target")
                if isinstance(one, torch.Tensor) and isinstance(two, torch.Tensor):
                    yield (one, two)
                continue
            if self.stems[place] != "Expand":
                for attribute in ("self", "other"):
                    value = kept(node, attribute)
                    if isinstance(value, torch.Tensor) and tuple(value.shape) == result:
                        yield (value if divisor is None else value * divisor, None)
            if depth and name in AFFINE and shape_at(node) == result:
                over = self._operand(node, name) if name == "Div" else None
                if over is None:
                    over = divisor
                elif divisor is not None:
                    over = over * divisor
                yield from self._differences(user, result, depth - 1, over)

    def log_probs(self) -> tuple[LogProbs, ...]:
        """The values that each NLL or CTC loss was given: how many are positive, what the
        exponentials of a row sum to."""
        found: list[LogProbs] = []
        for place, node in enumerate(self.nodes):
            if self.stems[place] in ("NllLoss", "NllLoss2D") and not _normalised(node):
                values = kept(node, "self")
                if isinstance(values, torch.Tensor) and values.numel():
                    found += _log_probs(place, values)
            elif self.stems[place] == "CtcLoss":  # classes last: [time, batch, classes]
                values = kept(node, "log_probs")
                if isinstance(values, torch.Tensor) and values.numel() and values.dim() > 1:
                    found += _log_probs(place, values.detach().flatten(0, -2))
            elif self.stems[place] == "Sub" and node.next_functions[0][0] is None:
                found += self._divergence(place, node)
            elif self.stems[place] == "Sub":
                found += self._constant(place, node)
        return tuple(found)

    def _divergence(self, place: int, node: Any) -> list[LogProbs]:
        """The values of a `kl_div`, which is `xlogy(target, target) - target * input`, when a
        softmax made its input and its target is a distribution over the same dimension; or those of
        its target, where they are logarithms of such a distribution."""
        product = node.next_functions[1][0] if len(node.next_functions) > 1 else None
        if product is not None and stem(product.name()) == "LogSoftmax":
            return self._exponential(place, product)
        if product is None or stem(product.name()) != "Mul":
            return []
        source = next((child for child, _ in product.next_functions if child is not None), None)
        name = stem(source.name()) if source is not None else ""
        if name in LAYERS and source in self.places:
            summed = all(self.stems[user] in ("Sum", "Mean") for user in self.users.get(place, ()))
            target = self._operand(product, "Mul") if summed else None
            return raw(place, target, source, self.places[source])
        if name not in ("Softmax", "LogSoftmax") or source not in self.places:
            return []
        target, values = self._operand(product, "Mul"), kept(source, "result")
        if target is None or not isinstance(values, torch.Tensor) or target.shape != values.shape:
            return []
        dim = kept(source, "dim")
        dim = dim if dim < values.dim() else dim - 2**64  # a negative one, read as unsigned
        target = target.detach()
        logs = name == "LogSoftmax"
        if target.numel() > MOST_TARGET or (logs and bool((target > 0).any())):
            return []
        sums = (target.double().exp() if logs else target.double()).sum(dim)
        if bool(((sums - 1).abs() > 1e-2).any()):
            return []
        read = target if logs else values.detach()
        found = _log_probs(place, read.movedim(dim, 1 if values.dim() > 1 else 0))
        return [
            msgspec.structs.replace(each, source=self.places[source], target=logs) for each in found
        ]

    def _exponential(self, place: int, source: Any) -> list[LogProbs]:
        """The values of the target of a `kl_div` with ``log_target=True``, which is `exp(target) *
        (target - input)`, where they are no logarithms but a distribution themselves."""
        users = self.users.get(place, ())
        if len(users) != 1 or self.stems[users[0]] != "Mul" or source not in self.places:
            return []
        grown, dim = self._operand(self.nodes[users[0]], "Mul"), signed(kept(source, "dim"))
        if grown is None or grown.shape != shape_at(source) or grown.numel() > MOST_TARGET:
            return []
        target = grown.detach().double().log()
        low, sums = float(target.min()), target.sum(dim)
        if not low >= -1e-6 or bool(((sums - 1).abs() > 1e-2).any()):
            return []
        found = _log_probs(place, target.movedim(dim, 1 if target.dim() > 1 else 0))
        source_at = self.places[source]
        return [msgspec.structs.replace(each, source=source_at, target=True) for each in found]

    def _constant(self, place: int, node: Any) -> list[LogProbs]:
        """The input of a `kl_div` whose target alone has a gradient, where it is a distribution, as
        a prior is: all above 0, with sums of 1."""
        target, product = (child for child, _ in node.next_functions[:2])
        if product is None or stem(target.name()) != "Xlogy" or stem(product.name()) != "Mul":
            return []
        if {child for child, _ in product.next_functions} != {None, target.next_functions[0][0]}:
            return []
        values = self._operand(product, "Mul")
        if values is None or values.shape != shape_at(node) or values.numel() > MOST_TARGET:
            return []
        values = values.detach()
        if not values.dim() or not bool((values > 0).all()):
            return []
        for dim in {values.dim() - 1, min(1, values.dim() - 1)}:
            if bool(((values.double().sum(dim) - 1).abs() < 1e-2).all()):
                found = _log_probs(place, values.movedim(dim, min(1, values.dim() - 1)))
                return [msgspec.structs.replace(each, source=place) for each in found]
        return []

    def labelled(self) -> tuple[int, ...]:
        """The operations whose target has rows that sum to one, and columns that do not."""
        found: list[int] = []
        for place, node in enumerate(self.nodes):
            name = self.stems[place]
            if name in ("MseLoss", "BinaryCrossEntropy"):
                target = kept(node, "target")
            elif name == "Mul" and any(child is None for child, _ in node.next_functions):
                target = self._operand(node, name)
            else:
                continue
            if isinstance(target, torch.Tensor) and _rows_are_classes(target):
                found.append(place)
        return tuple(found)

    def labels(self) -> tuple[Labels, ...]:
        """The losses with a weight for each of their labels, all the same, and labels that they do
        not know: beyond 0 and 1 for binary cross-entropy, 0 and 1 for a loss between -1 and 1."""
        found: list[Labels] = []
        for place, node in enumerate(self.nodes):
            name = self.stems[place]
            if name not in (BINARY, "SoftMarginLoss"):
                continue
            target = kept(node, "target")
            if (
                isinstance(target, torch.Tensor)
                and 0 < target.numel() <= MOST_TARGET
                and not (name == BINARY and _weighted(node))
                and self._whole(place)
            ):
                found += _labels(place, target.detach(), name == BINARY)
        return tuple(found)

    def _whole(self, place: int) -> bool:
        """Whether all of a loss is summed up, with nothing left out on the way: a label that stands
        for none is masked there."""
        if kept(self.nodes[place], "reduction") in (MEAN, SUM):
            return True
        while shape_at(self.nodes[place]):
            users = self.users.get(place, ())
            if len(users) != 1 or self.stems[users[0]] not in ("Sum", "Mean"):
                return False
            place = users[0]
        return True

    def differences(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The differences between a leaf and something without a gradient whose square, norm or
        size is taken, or between a leaf and itself; those of them that are 0 in every element."""
        apart: list[int] = []
        alike: list[int] = []
        for place, node in enumerate(self.nodes):
            inputs = [child for child, _ in node.next_functions if child is not None]
            if self.stems[place] not in ("Sub", "Rsub") or len({*inputs}) != 1:
                continue
            leaf = getattr(inputs[0], "variable", None)  # an AccumulateGrad has one
            if leaf is None or tuple(leaf.shape) != shape_at(node) or leaf.numel() < 2:
                continue
            if len(inputs) == 2 and kept(node, "alpha") in (1, None):
                apart.append(place)
                alike.append(place)
                continue
            values = self._squared(place, shape_at(node))
            if values is not None:
                apart.append(place)
                if not bool(values.any()):
                    alike.append(place)
        return tuple(apart), tuple(alike)

    def _squared(self, place: int, shape: tuple[int, ...]) -> torch.Tensor | None:
        """The values of a difference where an op that has no slope at 0 has kept them."""
        for user in self.users.get(place, ()):
            node, name = self.nodes[user], self.stems[user]
            twice = [child for child, _ in node.next_functions] == [self.nodes[place]] * 2
            if name in SQUARES or (name == "Mul" and twice):
                value = kept(node, "self")
                if isinstance(value, torch.Tensor) and tuple(value.shape) == shape:
                    return value
        return None

    def over_batch(self) -> bool:
        """Whether a softmax over dimension 0 of several rows is among the nodes."""
        return any(
            name in ("Softmax", "LogSoftmax")
            and kept(node, "dim") in (0, 2**64 - len(shape_at(node)))
            and len(shape_at(node)) > 1
            and shape_at(node)[0] > 1
            for node, name in zip(self.nodes, self.stems, strict=True)
        )


def _normalised(node: Any) -> bool:
    """Whether an NLL loss is fed by a log-softmax over its classes: nothing to read then."""
    child = node.next_functions[0][0]
    if child is not None and stem(child.name()) == "View":
        child = child.next_functions[0][0]
    if child is None or stem(child.name()) != "LogSoftmax":
        return False
    return kept(child, "dim") == min(1, len(shape_at(child)) - 1)


def _log_probs(place: int, values: torch.Tensor) -> list[LogProbs]:
    table = values.detach()
    if table.dim() == 1:
        table = table.unsqueeze(0)
    if table.shape[1] < 2:
        return []
    table = table.movedim(1, -1).flatten(0, -2)[:ROWS].double()
    if bool(table.isnan().any()):
        return []
    sums = table.exp().sum(1)
    return [
        LogProbs(
            place,
            int(sums.numel()),
            int((table > 1e-3).sum()),
            float(sums.min()),
            _finite(float(sums.max())),
        )
    ]


def _weighted(node: Any) -> bool:
    """Whether a loss was given a weight for each label, or hides whether it was."""
    try:
        return saved(node, "weight") is not None
    except (AttributeError, RuntimeError):
        return True


def _labels(place: int, target: torch.Tensor, binary: bool) -> list[Labels]:
    if binary:
        strange = (target <= -BEYOND) | (target >= 1 + BEYOND)
    else:
        strange = target == 0
        if not bool((strange | (target == 1)).all()):
            return []
    count = int(strange.sum())
    if not count:
        return []
    return [Labels(place, target.numel(), count, float(target.min()), float(target.max()))]


def _finite(value: float) -> float | None:
    return value if value < float("inf") else None


def _rows_are_classes(target: torch.Tensor) -> bool:
    if target.dim() < 2 or min(target.shape[:2]) < 2 or target.numel() > MOST_TARGET:
        return False
    values = target.detach().double()
    rows, columns = values.sum(1), values.sum(0)
    return bool(((rows - 1).abs() < 1e-3).all()) and not bool(((columns - 1).abs() < 1e-3).all())
