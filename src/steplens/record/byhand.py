"""By hand: ranks that step models in no DistributedDataParallel. Whether those whose gradients are
the same to the last bit step the same model: what averages gradients copies no parameters. Whether
some gradients are averaged and others are not, of models that began alike. And whether ranks that
began alike, and read shards of one dataset, exchange anything at all. Samples of both are compared
at a few steps (``pairs``).
"""

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from steplens.model.event import Apart
from steplens.model.site import Site
from steplens.record.account import Account
from steplens.record.pairs import Pairs, distance, few, launched, shared_store
from steplens.record.ranks import place

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

TENSORS = 16  # of a sample
LAST = 64  # step up to which samples are taken, and looked for
LEAST = 4  # elements whose gradient is not 0
LONE = 8  # steps without any exchange, at least
Layout = list[tuple[int, int]]  # tensors of a sample, and how many elements of each


class Lone:
    """An optimizer's run between whose steps nothing was launched so far."""

    __slots__ = ("launched", "steps", "site", "alike", "distance", "other")

    def __init__(self) -> None:
        self.launched = launched()
        self.steps = 0
        self.site: Site | None = None
        self.alike = False  # before the first step
        self.distance = 0.0  # at a later one
        self.other = 0


class ByHand:
    """The samples put into the store, by optimizer, until the other rank's are found."""

    def __init__(self) -> None:
        self.steps: dict[int, int] = {}
        self.waiting: dict[int, Pairs] = {}
        self.layouts: dict[int, Layout] = {}
        self.partly: dict[int, tuple[int, ...]] = {}  # tensors that were not averaged at a step
        self.lone: dict[int, Lone] = {}

    def step(self, recorder: "Recorder", number: int, accounts: Sequence[Account]) -> None:
        """An optimizer none of whose tensors is in a wrapper is about to step."""
        where, count = place(), self.steps.get(number, 0) + 1
        if where is None:
            return
        rank, ranks = where
        if ranks > 1:
            self._alone(recorder, number, count)
            made = self.lone[number].steps if number in self.lone else count
            if not made & (made - 1):
                self._look(where, number if count <= LAST else -1)
        if count > LAST or ranks < 2:
            if number not in self.lone:
                self.waiting.pop(number, None)
            return
        self.steps[number] = count
        pairs = self.waiting.setdefault(number, Pairs())
        store, other = shared_store(), (rank + 1) % ranks
        if not count & (count - 1):
            sample, key, layout = _sample(recorder, accounts)
            self.layouts[number] = layout
            if sample.numel():
                pairs.offer(store, f"byhand/{number}/{count}/{key}", rank, count, sample)
        for then, mine, theirs in pairs.come(store, other):
            apart, tensors = _apart(mine, theirs) if then > 1 else 0.0, ()
            if not apart:
                self._compare(number, then, mine, theirs, other)
                apart, tensors = self._partly(number, mine, theirs)
            if apart:
                self.steps[number] = LAST
                self.lone.pop(number, None)
                index, site = recorder.index(), recorder.site()
                event = Apart(index, recorder.step, site, number, -1, other, then, apart, tensors)
                recorder.emit(event)
                return

    def end(self, recorder: "Recorder") -> None:
        """The run is over: tell of optimizers whose ranks exchanged nothing."""
        where = place()
        if where is not None and where[1] > 1:
            self._look(where)
        for number, lone in self.lone.items():
            if lone.alike and lone.distance and lone.steps >= LONE:
                recorder.emit(
                    Apart(
                        recorder.index(),
                        recorder.step,
                        lone.site,
                        number,
                        -1,
                        lone.other,
                        lone.steps,
                        lone.distance,
                        alone=True,
                    )
                )
        self.lone.clear()

    def _alone(self, recorder: "Recorder", number: int, count: int) -> None:
        """One more step, and whether something was launched since the first."""
        if number not in self.steps and recorder.batches.reads.sharded == recorder.step:
            self.lone[number] = Lone()
        lone = self.lone.get(number)
        if lone is not None:
            if lone.launched < 0 or lone.launched != launched():
                del self.lone[number]
            else:
                lone.steps += 1
                lone.site = lone.site or recorder.site()

    def _look(self, where: tuple[int, int], stepping: int = -1) -> None:
        """Whether the next rank has put its samples there since another optimizer than the stepping
        one was last looked for: no exchange keeps the ranks at one pace, so one may be done before
        the other begins."""
        other = (where[0] + 1) % where[1]
        for number in self.lone:
            pairs = self.waiting.get(number)
            if pairs is not None and pairs.waiting and number != stepping:
                for then, mine, theirs in pairs.come(shared_store(), other, patient=True):
                    self._compare(number, then, mine, theirs, other)

    def _compare(
        self, number: int, then: int, mine: torch.Tensor, theirs: torch.Tensor, other: int
    ) -> None:
        """Whether parameters were the same before the first step, and not at this one."""
        lone, half = self.lone.get(number), mine.numel() // 2
        if lone is not None and mine.shape == theirs.shape:
            if then == 1:
                lone.alike = torch.equal(mine[:half], theirs[:half])
            lone.distance = max(lone.distance, distance(mine[:half], theirs[:half]))
            lone.other = other

    def _partly(
        self, number: int, mine: torch.Tensor, theirs: torch.Tensor
    ) -> tuple[float, tuple[int, ...]]:
        """How far those gradients are apart that no rank averaged, beside others that are the same
        to the last bit, at the first two steps of models that began alike; and whose they are."""
        layout, half = self.layouts.get(number, []), mine.numel() // 2
        if mine.shape != theirs.shape or sum(size for _, size in layout) != half:
            return 0.0, ()
        before = self.partly.pop(number, ())
        same: list[int] = []
        parted: list[int] = []
        apart, at = 0.0, 0
        for tensor, size in layout:
            here = slice(at, at + size), slice(half + at, half + at + size)
            at += size
            alike = torch.equal(mine[here[0]], theirs[here[0]])
            slope, theirs_ = mine[here[1]], theirs[here[1]]
            if not bool(slope.ne(0).any()):
                continue
            if alike and torch.equal(slope, theirs_):
                same.append(tensor)
            elif distance(slope, theirs_) and (alike or tensor in before):
                parted.append(tensor)
                apart = max(apart, distance(slope, theirs_))
            else:
                return 0.0, ()
        if not same or not parted:
            return 0.0, ()
        if set(before) == set(parted):
            return apart, tuple(parted)
        self.partly[number] = tuple(parted)
        return 0.0, ()


def _sample(recorder: "Recorder", accounts: Sequence[Account]) -> tuple[torch.Tensor, str, Layout]:
    """Some elements of the parameters that have a gradient, then those of the gradients; a key
    that only a sample of the same tensors bears; and whose elements they are."""
    parts: list[torch.Tensor] = []
    slopes: list[torch.Tensor] = []
    names: list[str] = []
    layout: Layout = []
    for account in accounts:
        tensor = account.ref()
        if tensor is None or tensor.grad is None or len(parts) >= TENSORS:
            continue
        values, slope = few(tensor), few(tensor.grad)
        if values is not None and slope is not None:
            parts.append(values)
            slopes.append(slope)
            layout.append((account.number, values.numel()))
            names.append(f"{recorder.roster.name(account.number)}{tuple(tensor.shape)}")
    joined = torch.cat([*parts, *slopes]) if parts else torch.zeros(0)
    return joined, str(zlib.crc32(" ".join(names).encode())), layout


def _apart(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    """How far the parameters are apart where the gradients are the same; 0 where they are not."""
    if mine.shape != theirs.shape:
        return 0.0
    half = mine.numel() // 2
    slope = mine[half:]
    if int(slope.ne(0).sum()) < LEAST or not torch.equal(slope, theirs[half:]):
        return 0.0
    return distance(mine[:half], theirs[:half])
