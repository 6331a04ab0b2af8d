"""Units of a layer that a ReLU keeps at zero, or that a tanh or sigmoid holds where it is flat."""

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Units
from steplens.model.site import Site
from steplens.record.graph import ACCUMULATE, Walk, sequence_number
from steplens.record.saved import saved

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LAYERS = 64  # activations followed
RECENT = 8  # looks at which a unit must have been at zero to count as dead
SLOPE = 1e-7  # less is none: a tanh beyond 8.7, which is 1 from 9 on
ELEMENTS = 1 << 24  # larger activations and weights are left alone
KINDS = {"ReluBackward0": "relu", "TanhBackward0": "tanh", "SigmoidBackward0": "sigmoid"}
LAST, SECOND = ("AddmmBackward0", "MmBackward0", "LinearBackward0"), ("ConvolutionBackward0",)
BETWEEN = (
    "NativeBatchNormBackward0",
    "CudnnBatchNormBackward0",
    "NativeLayerNormBackward0",
    "ViewBackward0",
    "UnsafeViewBackward0",
    "AddBackward0",
    "ReluBackward0",
)


class Alive:
    """At which look each unit of one activation last gave anything but zero (0 for never), and how
    many samples each of the latest looks saw."""

    __slots__ = ("last", "samples", "looks", "step", "site")

    def __init__(self, units: torch.Tensor) -> None:
        self.last = torch.zeros_like(units, dtype=torch.int32)
        self.samples: deque[int] = deque(maxlen=RECENT)
        self.looks = 0
        self.step = -1
        self.site: Site | None = None

    def look(self, units: torch.Tensor, samples: int, step: int) -> None:
        """These units gave something for some of the samples of a forward of this step."""
        if self.step != step:
            self.looks, self.step = self.looks + 1, step
            self.samples.append(0)
        self.samples[-1] += samples
        self.last.masked_fill_(units, self.looks)

    def living(self) -> torch.Tensor:
        """How many units gave something at any of the latest looks, as a tensor."""
        return (self.last > max(self.looks - RECENT, 0)).sum()


class Flat(Alive):
    """What part of an activation's outputs had a slope, at the look at which most had."""

    __slots__ = ("most", "kind")

    def __init__(self, sloping: torch.Tensor, kind: str) -> None:
        super().__init__(sloping)
        self.most = torch.zeros((), device=sloping.device)
        self.kind = kind

    def look(self, units: torch.Tensor, samples: int, step: int) -> None:
        """These parts of what each unit gave had a slope."""
        super().look(units > 0, samples, step)
        self.most = torch.maximum(self.most, units.mean())

    def living(self) -> torch.Tensor:
        """The part, in units."""
        return self.most * self.last.numel()


class Activations:
    """The ReLUs of the loss graphs looked at, by the weight that feeds them."""

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        self.alive: dict[int, Alive] = {}

    def look(self, walk: Walk) -> None:
        """Read the outputs of the ReLUs, and of tanh and sigmoid, in a graph that is about to be
        freed. Waits for nothing."""
        for node in walk.nodes:
            if node.name() in KINDS:
                try:
                    self._read(node, KINDS[node.name()])
                except RecursionError:  # it is a RuntimeError, but no word of the node's
                    raise
                except (AttributeError, RuntimeError):
                    continue  # overwritten since, freed, or behind a hook

    def _read(self, node: Any, kind: str) -> None:
        weight, last = _feeder(node)
        if weight is None:
            return
        account = self.recorder.census.known(weight)
        if account is None or (account.number not in self.alive and len(self.alive) >= LAYERS):
            return
        result = saved(node, "result").detach()
        if result.dim() < 2 or not 0 < result.numel() <= ELEMENTS:
            return
        unit = result.dim() - 1 if last else 1
        if result.shape[unit] != weight.shape[0]:
            return
        others = [axis for axis in range(result.dim()) if axis != unit]
        if kind == "relu":
            living = result.amax(others) > 0
        else:  # as torch computes the slope of it
            slope = result * (1 - result) if kind == "sigmoid" else 1 - result * result
            living = (slope > SLOPE).float().mean(others)
        known = self.alive.get(account.number)
        if known is None or known.last.shape != living.shape:
            known = Alive(living) if kind == "relu" else Flat(living, kind)
            self.alive[account.number] = known
            known.site = self.recorder.detail.site_of(sequence_number(node))
        known.look(living, int(result.shape[0]), self.recorder.step)

    def counts(self, numbers: Iterable[int], step: int) -> list[tuple[int, Alive, torch.Tensor]]:
        """For each weight among these that this step's graphs held: how many units are alive, as a
        tensor."""
        wanted = set(numbers)
        return [
            (number, alive, alive.living())
            for number, alive in self.alive.items()
            if number in wanted and alive.step == step
        ]


def units(number: int, alive: Alive, living: float) -> Units:
    """What has been seen of one activation, in numbers."""
    count = alive.last.numel()
    kind = alive.kind if isinstance(alive, Flat) else ""
    seen = sum(alive.samples)
    return Units(number, count, count - int(living), seen, alive.looks, alive.site, kind)


def _feeder(node: Any) -> tuple[torch.Tensor | None, bool]:
    """The weight of the layer whose output goes into an activation, and whether its units are the
    last axis (linear) or the second (convolution)."""
    for _ in range(4):
        child = node.next_functions[0][0] if node.next_functions else None
        if child is None:
            return None, False
        name = child.name()
        if name in LAST or name in SECOND:
            return multiplied(child), name in LAST
        if name not in BETWEEN:
            return None, False
        if name == "AddBackward0" and len(child.next_functions) > 1:
            other = child.next_functions[1][0]
            if other is not None and type(other) is not ACCUMULATE:
                return None, False  # a sum of two layers
        node = child
    return None, False


def multiplied(layer: Any) -> torch.Tensor | None:
    """The parameter that this product multiplies its input with, if it is one."""
    child: Any
    for child, _ in layer.next_functions[1:]:
        for _ in range(2):  # the weight itself, or behind the transpose of a linear layer
            if type(child) is ACCUMULATE:
                if child.variable.dim() >= 2:
                    return child.variable
                break
            if child is None or not child.next_functions:
                break
            child = child.next_functions[0][0]
    return None
