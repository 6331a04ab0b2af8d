"""Blended: weights of a second model that are mixed with those of the trained one after each step,
and what share of themselves they keep."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import torch

from steplens.model.event import Blended
from steplens.record.account import Account
from steplens.record.behind import written_at
from steplens.record.norms import dense, resample

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

PAIRS = 4  # of parameters, followed at a time
ELEMENTS = 64  # of each
FEWEST = 8
UPDATES = 6  # measured, one after each of consecutive steps
LOOKS = 16  # at which a pair is looked at
KEPT = 0.1  # of itself, at the most, that no average keeps
APART = 0.05  # of the distance: what a mixture of the two may miss
TIMES = 4  # told in a run
Sample = tuple[int, torch.Tensor, torch.Tensor]  # steps taken, the average, the model


class Pair:
    """A parameter that no optimizer holds, and a trained one of the same name and shape."""

    __slots__ = ("average", "source", "last", "measures", "looks")

    def __init__(self, average: Account, source: Account) -> None:
        self.average = average
        self.source = source
        self.last: Sample | None = None
        self.measures: list[torch.Tensor] = []
        self.looks = 0


class Blends:
    """Follows, by optimizer, the pairs that its first steps show, and those that come later."""

    def __init__(self) -> None:
        self.open: dict[int, list[Pair]] = {}
        self.met: set[tuple[int, int]] = set()  # pairs that have been followed
        self.read: dict[int, int] = {}  # optimizer -> tensors in the Roster when they were paired
        self.left = TIMES

    def after(self, recorder: "Recorder", number: int, accounts: Sequence[Account]) -> None:
        """A step has ended, at which values are looked at."""
        if self.left > 0 and recorder.cadence.looking:
            told: Blended | None = recorder.values.guarded(
                lambda: self._after(recorder, number, accounts)
            )
            if told is not None:
                self.left -= 1
                recorder.emit(told)

    def _after(
        self, recorder: "Recorder", number: int, accounts: Sequence[Account]
    ) -> Blended | None:
        known = len(recorder.roster.tensors)
        if self.read.get(number) != known:
            self.read[number] = known
            followed = self.open.setdefault(number, [])
            new = islice(self._pairs(recorder, accounts), PAIRS - len(followed))
            followed += new
        pairs = self.open.get(number)
        if not pairs:
            return None
        steps = recorder.steps.count.get(number, 0)
        told: Blended | None = None
        for pair in list(pairs):
            if not _measured(pair, steps):
                pairs.remove(pair)
            elif len(pair.measures) >= UPDATES:
                pairs.remove(pair)
                told = told or _told(recorder, pair)
        if pairs:
            recorder.cadence.ask(recorder.cadence.step + 1)
        return told

    def _pairs(self, recorder: "Recorder", accounts: Sequence[Account]) -> Iterator[Pair]:
        """Matrices that no optimizer holds, each with the trained ones that it may follow."""
        tensors = recorder.roster.tensors
        held = {n for entry in recorder.roster.optimizers.values() for n in entry.tensors}
        trained: dict[tuple[str, tuple[int, ...]], list[Account]] = {}
        for account in accounts:
            entry = tensors[account.number]
            for name in _tails(entry.name):
                trained.setdefault((name, entry.shape), []).append(account)
        for account in list(recorder.census.accounts.values()):
            entry = tensors[account.number]
            if account.number in held or entry.role != "parameter" or len(entry.shape) < 2:
                continue
            sources = {
                one.number: one
                for name in _tails(entry.name)
                for one in trained.get((name, entry.shape), ())
            }
            for source in sources.values():
                key = account.number, source.number
                if key not in self.met and len(self.met) < LOOKS * PAIRS:
                    self.met.add(key)
                    yield Pair(account, source)


def _tails(name: str) -> set[str]:
    """A parameter's name, and what follows the part of a model that it may lie in."""
    return {name, name.partition(".")[2] or name}


def _measured(pair: Pair, steps: int) -> bool:
    """Take the parts of both, and where the step before was looked at, how the average has moved
    since; False where there is nothing to follow."""
    average, source = pair.average.ref(), pair.source.ref()
    pair.looks += 1
    if average is None or source is None or pair.looks > LOOKS:
        return False
    alike = (average.shape, average.dtype, average.device) == (
        (source.shape, source.dtype, source.device)
    )
    if not (alike and dense(average) and dense(source)) or average.numel() < FEWEST:
        return False
    then = pair.last
    now, model = (
        resample(each.detach(), ELEMENTS).reshape(-1).to(torch.float64, copy=True)
        for each in (average, source)
    )
    pair.last = steps, now, model
    if then is not None and then[0] == steps - 1:
        before, to = then[1] - then[2], now - then[2]
        sums = torch.stack([before @ before, before @ to, to @ to, (now - then[1]).abs().max()])
        pair.measures.append(sums)
    return True


def _told(recorder: "Recorder", pair: Pair) -> Blended | None:
    """What the measures come to: at each of them the average was mixed with the model as it was,
    and kept next to nothing of itself. A copy of the model is none."""
    shares: list[float] = []
    rows: list[list[float]] = torch.stack(pair.measures).tolist()
    for own, both, left, moved in rows:
        if not moved or not own or not left:
            return None
        share = both / own
        if abs(share) > KEPT or left - share * share * own > APART**2 * own:
            return None
        shares.append(share)
    return Blended(
        recorder.index(),
        recorder.step,
        recorder.site(),
        recorder.roster.tensors[pair.average.number].root,
        pair.average.number,
        pair.source.number,
        max(0.0, *shares),
        len(shares),
        written_at(recorder.places),
    )
