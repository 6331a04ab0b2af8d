"""Opposed: two optimizers that step the same tensors in turn, each by gradients that point against
the other's."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Opposed
from steplens.model.newest import Newest
from steplens.record.account import Account
from steplens.record.norms import dense, resample

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

HELD = 16  # optimizers whose tensors are remembered
PAIRS = 8  # of which one holds all that the other does, in a run
TURNS = 8  # compared
STEPS = 64  # of the two, in which these are to come
AGAINST = -0.5  # the cosine, at each turn
SLIGHT = 0.01  # of the other's gradient: what is less than that moves little
ELEMENTS = 4096  # of all tensors of a sample
FEWEST = 8  # of each


class Sample:
    """Some elements of the gradients that a step is about to use, and the passes they are of."""

    __slots__ = ("tensors", "values", "passes")

    def __init__(
        self, tensors: tuple[int, ...], values: torch.Tensor, passes: frozenset[int]
    ) -> None:
        self.tensors = tensors
        self.values = values
        self.passes = passes


class Pair:
    """The ``inner`` optimizer holds nothing that the ``outer`` one does not hold as well."""

    __slots__ = ("inner", "outer", "accounts", "last", "turns", "steps")

    def __init__(self, inner: int, outer: int, accounts: Sequence[Account]) -> None:
        self.inner = inner
        self.outer = outer
        self.accounts = tuple(accounts)  # that both hold
        self.last: tuple[int, Sample] | None = None  # who stepped last, and by what
        self.turns: list[torch.Tensor] = []  # of each, the cosine and the outer's share
        self.steps = 0


class Opposition:
    """Compares, at the first steps of two such optimizers, the gradients by which the one and then
    the other step what both hold. Nothing is read until enough turns have been seen; a pair of
    which a gradient is missing, was used before, or came of the same pass is followed no more."""

    def __init__(self) -> None:
        self.held = Newest[int, tuple[Account, ...]](HELD)
        self.open: list[Pair] = []
        self.met = 0

    def before(self, recorder: "Recorder", optimizer: Any, pending: Any) -> Opposed | None:
        """A step is about to use its gradients; told is the last turn of a pair, if all of them
        were against each other."""
        if pending.number not in self.held:
            self._enter(pending.number, pending.accounts)
        if not self.open:
            return None
        told: Opposed | None = recorder.values.guarded(lambda: self._follow(optimizer, pending))
        return told

    def _follow(self, optimizer: Any, pending: Any) -> Opposed | None:
        told: Opposed | None = None
        for pair in [p for p in self.open if pending.number in (p.inner, p.outer)]:
            pair.steps += 1
            if pair.steps > STEPS or not _follows(pair, optimizer, pending):
                self.open.remove(pair)
            elif len(pair.turns) == TURNS:
                self.open.remove(pair)
                told = told or _told(pair)
        return told

    def _enter(self, number: int, accounts: Sequence[Account]) -> None:
        """An optimizer steps for the first time: does it hold what another does, and more?"""
        self.open = [pair for pair in self.open if number not in (pair.inner, pair.outer)]
        mine = set(accounts)
        for other, held in list(self.held.items()):
            theirs = set(held)
            if self.met < PAIRS and mine != theirs and mine and theirs:
                if theirs <= mine:
                    self.open.append(Pair(other, number, held))
                elif mine <= theirs:
                    self.open.append(Pair(number, other, accounts))
                else:
                    continue
                self.met += 1
        self.held[number] = tuple(accounts)


def _follows(pair: Pair, optimizer: Any, pending: Any) -> bool:
    """Take a sample of this step; where the other optimizer stepped last, compare the two."""
    number = pending.number
    sample = None if pending.closure else _sample(pair)
    if sample is None or (number == pair.outer and not _moves(optimizer, pair)):
        return False
    last, pair.last = pair.last, (number, sample)
    if last is None or last[0] == number:
        return True
    before = last[1]
    if before.tensors != sample.tensors or not before.passes.isdisjoint(sample.passes):
        return False
    inner, outer = (sample, before) if number == pair.inner else (before, sample)
    sizes = inner.values.norm(), outer.values.norm()
    cosine = inner.values @ outer.values / (sizes[0] * sizes[1])
    pair.turns.append(torch.stack([cosine, sizes[1] / sizes[0]]))
    return True


def _sample(pair: Pair) -> Sample | None:
    """Of all tensors that both hold and that have a gradient which no step has used."""
    found = list[tuple[Account, torch.Tensor]]()
    passes = set[int]()
    for account in pair.accounts:
        tensor, holding = account.ref(), account.holding
        gradient = tensor.grad if tensor is not None else None
        if gradient is None or not holding.contributions:
            continue
        if holding.used or not holding.known or not dense(gradient):
            return None
        passes.update([each.backward for each in holding.contributions])
        found.append((account, gradient))
    if not found:
        return None
    most = max(FEWEST, ELEMENTS // len(found))
    parts = [resample(gradient, most).reshape(-1)[: 2 * most] for _, gradient in found]
    device = parts[0].device
    values = torch.cat([part.to(device, torch.float32, copy=True) for part in parts])
    return Sample(tuple([account.number for account, _ in found]), values, frozenset(passes))


def _moves(optimizer: Any, pair: Pair) -> bool:
    """Whether the outer optimizer's rates for what both hold are above 0."""
    both = {id(account.ref()) for account in pair.accounts}
    for group in optimizer.param_groups:
        rate = group.get("lr")
        still = not isinstance(rate, torch.Tensor) and not (rate or 0) > 0
        if still and any(id(tensor) in both for tensor in group["params"]):
            return False
    return True


def _told(pair: Pair) -> Opposed | None:
    turns: list[list[float]] = torch.stack(pair.turns).tolist()
    if not all(cosine <= AGAINST and share >= SLIGHT for cosine, share in turns):
        return None
    cosines = [cosine for cosine, _ in turns]
    last = pair.last
    tensors = last[1].tensors if last is not None else ()
    return Opposed(pair.inner, pair.outer, tensors, len(turns), min(cosines), max(cosines))
