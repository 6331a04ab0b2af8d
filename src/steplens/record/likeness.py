"""Likeness: units of a layer that were equal at the start and go on being equal."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Twins
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.record.account import Account, Living
from steplens.record.graph import ACCUMULATE, Walk
from steplens.record.norms import CHUNK, readable
from steplens.record.settings import attribute_line
from steplens.record.units import ELEMENTS, LAST, SECOND, multiplied
from steplens.record.writes import pointer

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


def _product(node: Any) -> torch.Tensor | None:
    """The weight that this node multiplies its input with, if it does."""
    return multiplied(node) if node.name() in LAST or node.name() in SECOND else None


def _ends(walk: Walk) -> set[Any]:
    """The products with a weight from which the loss is reached through no other one."""
    todo, met, ends = list(walk.nodes[:1]), set[Any](), set[Any]()
    while todo:
        node = todo.pop()
        if node in met:
            continue
        met.add(node)
        if _product(node) is not None:
            ends.add(node)
        else:
            todo += [child for child, _ in node.next_functions if child is not None]
    return ends


def _inputs_first(node: Any, weight: torch.Tensor) -> bool:
    """Whether the weight's rows are the inputs of this product, as in ``x @ w``, rather than its
    outputs, as in a linear layer and a convolution."""
    if node.name() in SECOND:
        return bool(node._saved_transposed)
    return node.name() != "LinearBackward0" and any(
        type(child) is ACCUMULATE and child.variable is weight for child, _ in node.next_functions
    )


PARTED = -(1 << 30)  # looks counted for a pair that will not come together again


class Pairs:
    """Rows (axis 0) or columns (axis 1) of one weight that were bit-equal when first seen.

    ``seen`` and ``stuck`` count, for each pair, the looks at which it had moved together, or had
    not been reached; a look at which it had parted ends its count for good.
    """

    __slots__ = ("account", "axis", "one", "other", "start", "seen", "stuck")

    def __init__(
        self, account: Account, axis: int, one: torch.Tensor, other: torch.Tensor, rows: Any
    ) -> None:
        self.account = account
        self.axis = axis
        self.one = one
        self.other = other
        self.start: torch.Tensor = rows
        self.seen = torch.zeros_like(one)
        self.stuck = torch.zeros_like(one)


class Likeness:
    """Follows equal rows of weights until they part, or have gone so far together that they will
    never part."""

    MOVED = 3  # looks after which rows that moved together are told
    STUCK = 6  # looks after which rows that nothing ever reached are told

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        self.met = Living()
        self.open: dict[int, list[Pairs]] = {}
        self.free: dict[int, set[int]] = {}  # weight -> axes along which equal units are no loss
        self.outputs: dict[int, int] = {}  # weight -> the axis of what its products give
        self.filled = Newest[int, Site](4096)  # storage -> the line that filled it

    def fill(self, tensor: torch.Tensor) -> None:
        """A tensor is about to be filled with a constant: remember the line, before training."""
        place = pointer(tensor) if tensor.dim() else 0
        site = self.recorder.site() if place else None
        if site is not None:
            self.filled[place] = site

    def reached(self, walk: Walk) -> None:
        """Note along which axes of the weights followed equal units are no loss: outputs that go to
        the loss through no other weight, as those of classes that do not occur, and the data's own
        features, as those that are always 0."""
        if not self.open:
            return
        ends, free = _ends(walk), dict[int, set[int]]()
        for node in walk.nodes:
            weight = _product(node)
            account = self.recorder.census.known(weight) if weight is not None else None
            if weight is None or account is None:
                continue
            outputs = self.outputs[account.number] = int(_inputs_first(node, weight))
            if account.number not in self.open:
                continue
            axes = {outputs} if node in ends else set[int]()
            if node.next_functions[node.name() == "AddmmBackward0"][0] is None:
                axes.add(1 - outputs)
            free[account.number] = free.get(account.number, axes) & axes  # in all of its uses
        self.free.update(free)

    def look(self, accounts: Iterable[Account], rates: bool) -> tuple[Twins, ...]:
        """Before a step: meet new weights, and measure the pairs of known ones. Waits for the
        device. ``rates`` says that no learning rate is 0."""
        told: list[Twins] = []
        for account in accounts:
            if self.met.get(account.number) is not account:
                self.met[account.number] = account
                self.open.pop(account.number, None)  # of a tensor that had this number before
                self.free.pop(account.number, None)
                self.outputs.pop(account.number, None)
                self._meet(account)
                continue
            for pairs in list(self.open.get(account.number, ())):
                twins = self._compare(pairs, rates)
                if twins is not None:
                    told.append(twins)
        self.met.thin()
        return tuple(told)

    def _meet(self, account: Account) -> None:
        weight = account.ref()
        entry = self.recorder.roster.tensors[account.number]
        module = self.recorder.roster.modules.get(entry.module)
        if (
            weight is None
            or entry.role != "parameter"
            or module is None
            or "Embedding" in module.type
            or weight.dim() < 2
            or not weight.requires_grad
            or not readable(weight)
            or not 0 < weight.numel() <= ELEMENTS
        ):
            return
        self._enter(account, 0, weight)
        held = self.recorder.census.module_at(entry.module)
        own = held is not None and not type(held).__module__.startswith("torch.nn.")
        if own and weight.dim() == 2:  # a layer of the user's own may well say `x @ w`
            self._enter(account, 1, weight)

    def _enter(self, account: Account, axis: int, weight: torch.Tensor) -> None:
        flat = _along(weight, axis)
        if flat.shape[0] < 2:
            return
        rows = max(1, CHUNK // flat.shape[1])
        sums = torch.cat([part.double().sum(1) for part in flat.split(rows)])
        sums, order = sums.sort(stable=True)
        near = sums[1:] == sums[:-1]
        if not bool(near.any()):
            return
        one, other = order[:-1][near], order[1:][near]
        equal = (flat[one] == flat[other]).all(1)
        one, other = one[equal], other[equal]
        if one.numel():
            pairs = Pairs(account, axis, one, other, flat[one].clone())
            self.open.setdefault(account.number, []).append(pairs)

    def _close(self, pairs: Pairs) -> None:
        """Follow these no more; the weight stays met."""
        held = self.open[pairs.account.number]
        held.remove(pairs)
        if not held:
            del self.open[pairs.account.number]

    def _compare(self, pairs: Pairs, rates: bool) -> Twins | None:
        weight = pairs.account.ref()
        gradient = weight.grad if weight is not None else None
        if weight is None or gradient is None or gradient.layout != torch.strided:
            return None
        flat, slope = _along(weight, pairs.axis), _along(gradient, pairs.axis)
        if flat.shape[1] != pairs.start.shape[1]:
            self._close(pairs)
            return None
        apart = (flat[pairs.one] - flat[pairs.other]).abs().amax(1)
        moved = (flat[pairs.one] - pairs.start).abs().amax(1)
        size = slope[pairs.one].abs().amax(1)
        parted = (slope[pairs.one] - slope[pairs.other]).abs().amax(1)
        # equal up to rounding, which differs between the rows of a blocked matrix product
        together = (moved > 0) & (apart <= 1e-4 * moved) & (size > 0) & (parted <= 1e-3 * size)
        stuck = (moved == 0) & (size == 0) & (parted == 0) & (apart == 0)
        for count, now in ((pairs.seen, together), (pairs.stuck, stuck & rates)):
            count += now
        pairs.seen[(moved > 0) & (apart > 1e-4 * moved)] = PARTED
        if not bool((together | stuck).any()):
            if bool(((moved > 0) & (apart > 1e-4 * moved)).all()):
                self._close(pairs)
            return None
        held = pairs.seen >= self.MOVED
        if bool(together.any()):
            if pairs.axis in self.free.get(pairs.account.number, ()):
                self._close(pairs)
                return None
            together &= held
            if 2 * int(together.sum()) <= together.numel():
                return None  # an equal start has not kept most of them together
            if not self._answered(pairs, together):
                self._close(pairs)
                return None
            parts = int(together.sum()), 0
        elif not bool((moved > 0).any()):  # else a few whose inputs are dead
            parts = 0, int((stuck & (pairs.stuck >= self.STUCK)).sum())
        else:
            parts = 0, 0
        if not any(parts):
            return None
        self._close(pairs)
        left = max(parts)
        return Twins(
            pairs.account.number,
            int(flat.shape[0]),
            int(pairs.one.numel()),
            left,
            float(moved.max()),
            float(apart[together].max()) if parts[0] else 0.0,
            float(size.max()),
            self._made(pairs.account, weight),
            pairs.axis,
        )

    def _answered(self, pairs: Pairs, together: torch.Tensor) -> bool:
        """Whether a weight before or behind these units holds most of them equal too: units that
        one side tells apart, or that no weight takes up, need not have begun otherwise."""
        one, other = pairs.one[together], pairs.other[together]
        weight = pairs.account.ref()
        if weight is None:
            return False
        units, made = weight.shape[pairs.axis], self._output(pairs.account)
        for account in list(self.met.values()):
            tensor, gives = account.ref(), self._output(account)
            if tensor is None or tensor.dim() < 2 or tensor.numel() > ELEMENTS:
                continue
            for axis in (0, 1):
                if account is pairs.account and axis == pairs.axis:
                    continue
                if None not in (made, gives) and (pairs.axis == made) == (axis == gives):
                    continue  # both give, or both take
                rows = _units(tensor, axis, units)
                if rows is not None and rows.device == one.device:
                    first, second = one % rows.shape[0], other % rows.shape[0]
                    apart = (rows[first] - rows[second]).abs().amax(1)
                    like = (apart <= 1e-4 * rows[first].abs().amax(1)) & (first != second)
                    if 2 * int(like.sum()) > like.numel():
                        return True
        return False

    def _output(self, account: Account) -> int | None:
        """The axis of a weight that runs over what its product gives; None where not known."""
        module = self.recorder.census.module_at(self.recorder.roster.tensors[account.number].module)
        if module is not None and type(module).__module__.startswith("torch.nn.modules."):
            return int("Transpose" in type(module).__name__)
        return self.outputs.get(account.number)

    def _made(self, account: Account, weight: torch.Tensor) -> Site | None:
        """The line that filled a weight with a constant; else the one of the user's class that
        sets it, as a class of the user's makes its parameters of what they hold."""
        known = self.filled.get(pointer(weight))
        module = self.recorder.census.module_at(self.recorder.roster.tensors[account.number].module)
        if known is not None or module is None:
            return known
        name = next((name for name, held in module._parameters.items() if held is weight), "")
        return attribute_line(self.recorder.places, module, name) if name else None


def _along(tensor: torch.Tensor, axis: int) -> torch.Tensor:
    """The tensor as a matrix whose rows are its units."""
    plain = tensor.detach()
    return (plain.transpose(0, 1) if axis else plain).flatten(1)


def _units(tensor: torch.Tensor, axis: int, count: int) -> torch.Tensor | None:
    """The tensor as a matrix of one row for each of ``count`` units, several of whose elements may
    lie side by side (flattened images), or for each unit of one gate of several; None where the
    axis is of another size."""
    size = tensor.shape[axis]
    if (
        not readable(tensor)
        or tensor.layout != torch.strided
        or size < 2
        or (size % count and count % size)
    ):
        return None
    rows = _along(tensor, axis)
    return rows if count % size == 0 else rows.reshape(count, -1)
