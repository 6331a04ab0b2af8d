"""Bootstrapped: targets made of a network's own estimates, through which its gradient goes."""

from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Vain
from steplens.model.graph import GraphReading
from steplens.record.graph import ACCUMULATE, Walk
from steplens.record.nodes import kept, stem
from steplens.record.sought import Sought

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOSSES = ("MseLoss", "SmoothL1Loss", "HuberLoss", "L1Loss")
SQUARES = ("Pow", "Abs")
MOVING = frozenset((
    "Squeeze", "Unsqueeze", "View", "UnsafeView", "ReshapeAlias", "Clone", "ToCopy", "Expand",
    "Select", "Slice", "Index",
))  # fmt: skip
BEST = ("Max", "Amax", "Gather")  # over actions
MASKING = ("Where", "MaskedFill")
DEEP = 16  # operations of one target
MOST = 1 << 20  # elements of a mask that are read
NODES = 4000  # looked through for what made an estimate


class Bootstrapped(Sought):
    """Losses of a prediction and a target ``r + c * v``, where ``v`` is made of the parameters that
    made the prediction, and neither ``r`` nor ``c`` has a gradient.

    Neither of the two estimates was made of the other: ``where(known, y, v)`` as the target of
    ``v`` leaves out what is not known. ``v`` is known to be an estimate of what comes next by a
    maximum or a pick over actions, or by a mask of what has ended: ``c`` holds 0 and one other
    number. Without either, a step of an equation in time, ``u(t) + dt * f``, looks the same.
    """

    def look(self, recorder: "Recorder", walk: Walk, reading: GraphReading) -> None:
        """Find such losses in a graph."""
        self.left -= 1
        nodes = walk.operations()
        sites = {node: op.site for node, op in zip(nodes, reading.ops, strict=False)}
        squared = {
            child
            for node in sites
            if stem(node.name()) in SQUARES
            for child, _ in node.next_functions
        }
        for node, site in sites.items():
            if stem(node.name()) not in LOSSES and not (
                stem(node.name()) == "Sub" and node in squared
            ):
                continue
            ends = [child for child, _ in node.next_functions[:2]]
            for one, other in (ends, ends[::-1]) if len(ends) == 2 else ():
                made = _target(recorder, one, other)
                if made is not None and (at := sites.get(made[0])) and at not in self.told:
                    self.told.add(at)
                    index = recorder.index()
                    event = Vain(
                        index, recorder.step, at, "bootstrapped", "", value=made[1], other=site
                    )
                    recorder.emit(event)


def _target(recorder: "Recorder", prediction: Any, target: Any) -> tuple[Any, int] | None:
    """The sum that makes a target of an estimate, and how many parameters made both the estimate
    and the prediction; None where these are no such two."""
    target = _moved(target)
    if prediction is None or target is None or stem(target.name()) != "Add":
        return None
    parts = [child for child, _ in target.next_functions if child is not None]
    estimate = _estimate(recorder, parts[0]) if len(parts) == 1 else None
    if estimate is None:
        return None
    next_, now = _below(estimate), _below(prediction)
    if estimate in now or _moved(prediction) in next_:
        return None
    shared = sum(type(node) is ACCUMULATE for node in next_ & now)
    return (target, shared) if shared else None


def _moved(node: Any) -> Any:
    """What made these values, in another shape perhaps."""
    for _ in range(DEEP):
        if node is None or stem(node.name()) not in MOVING:
            break
        node = node.next_functions[0][0]
    return node


def _estimate(recorder: "Recorder", node: Any) -> Any:
    """What a discounted estimate was made of; None where nothing shows that it is one."""
    shown = False
    for _ in range(DEEP):
        name, graph = stem(node.name()), [c for c, _ in node.next_functions if c is not None]
        if len(graph) != 1:
            break
        if name == "Mul":
            shown = shown or _masks(recorder, node)
        elif name in BEST or name in MASKING:
            shown = True
        elif name not in MOVING:
            break
        node = graph[0]
    return node if shown else None


def _masks(recorder: "Recorder", node: Any) -> bool:
    """Whether a product's other factor holds 0 and one other number."""
    factor = kept(node, "self" if node.next_functions[0][0] is None else "other")
    if not isinstance(factor, torch.Tensor) or not 1 < factor.numel() <= MOST:
        return False
    if not recorder.cadence.may_read(factor):
        return False
    low, high = (float(end) for end in factor.detach().aminmax())
    ends = int(((factor == low) | (factor == high)).sum())
    return (low == 0) != (high == 0) and ends == factor.numel()


def _below(start: Any) -> set[Any]:
    """A node, and all that it was made of."""
    met: set[Any] = {start}
    queue = [start]
    for node in queue:
        new = {child for child, _ in node.next_functions if child is not None} - met
        if len(met) < NODES:
            met |= new
            queue += new
    return met
