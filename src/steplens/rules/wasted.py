"""Wasted: backward passes whose gradients were cleared whole, again and again, before the one that
a step used: of the training line, or of a loss that alone reaches some of the parameters."""

from collections import deque
from typing import NamedTuple

from steplens.model.event import Backward, Clear, Clip, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.lost_passes import LostPasses

ROW = 2  # steps running, where several backward passes were lost before each of them
LONG_ROW = 4  # steps running, where one was
KEPT = 64  # clips and steps remembered


class Waste(NamedTuple):
    """The steps so far of one optimizer, each of which came after lost backward passes of the very
    line that made what it used, or of lines that alone reached its tensors ``only``: ``lost`` is
    how many before this one, ``all`` before all of them."""

    step: Step
    first: int
    times: int
    lost: int
    all: int
    used: int
    backward: Site | None
    clear: Clear
    only: tuple[int, ...] = ()


class Row:
    """The steps in a row of one optimizer before which gradients were lost."""

    __slots__ = ("first", "times", "lost", "broken")

    def __init__(self, first: int) -> None:
        self.first = first
        self.times = 0
        self.lost = 0
        self.broken = False


class Wasted:
    """Follows backward passes, clears and steps.

    A backward is wasted when every gradient that it made was cleared and no step had used any. Only
    steps count whose optimizer has had such losses before each of its steps from the first or
    second on, with its tensors untouched between two steps: programs that throw a gradient away now
    and then (a bad batch, a probe) do not do so every time, nor at the line that trains. A program
    that does so at another line on purpose, to look at a gradient, trains all the same with every
    parameter that it reaches: if not, the loss was to be trained with. Nor does anybody look at
    what no code names.
    """

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.passes = LostPasses()
        self.rows: dict[int, Row] = {}
        self.last: dict[int, int] = {}  # optimizer -> its newest Step event
        self.weight = 1
        self.others: dict[int, Row] = {}  # optimizer -> steps before which another loss was lost
        self.unread: dict[int, Row] = {}  # the same, of gradients that nothing can have read
        # the newest clips, which give the norm, and steps, whose loss it may have been
        self.between = deque[int](maxlen=KEPT)

    def backward(self, event: Backward) -> None:
        """A backward pass, whose gradients may be lost."""
        self.passes.backward(event)

    def clear(self, event: Clear) -> None:
        """A clear of gradients, some of which no step has used."""
        self.passes.clear(event)

    def step(self, event: Step, weight: int) -> Waste | None:
        """What is to be said of this step, which has happened ``weight`` times; None when nothing
        was wasted before it, or not each time."""
        self.weight = weight
        number = event.optimizer
        since, self.last[number] = self.last.get(number, -1), event.index
        new = {c.backward for share in event.uses for c in share.holds if not c.used_by}
        sites = self.passes.sites(new)
        lost = self.passes.since(since)
        same = {b: clear for b, clear in lost.items() if self.passes.site(b) in sites}
        only = self._only(event, lost) if lost else ()
        self.passes.used(new)
        plain = not (event.unknown or event.rewritten or event.closure or event.skipped)
        plain = plain and not self.roster.optimizers[number].gathers  # it may have what was cleared
        fits = plain and event.untouched and bool(new)
        found = self._row(self.rows, event, since, same if fits and len(sites) == 1 else {}, new)
        if found is None:
            found = self._row(self.others, event, since, lost if fits and only else {}, new)
            found = found._replace(only=only) if found is not None else None
        if found is None:
            blind = (
                fits
                and lost
                and all(
                    clear.unread and not any(backward < each < clear.index for each in self.between)
                    for backward, clear in lost.items()
                )
            )
            found = self._row(self.unread, event, since, lost if blind else {}, new)
        self.between.append(event.index)
        return found

    def clip(self, event: Clip) -> None:
        """A clip gives out the norm: somebody may have looked at it."""
        self.between.append(event.index)

    def _row(
        self,
        rows: dict[int, Row],
        event: Step,
        since: int,
        lost: dict[int, Clear],
        new: set[int],
    ) -> Waste | None:
        """Go on with the row of this step's optimizer, or break it where nothing was lost."""
        row = rows.get(event.optimizer)
        if row is None:
            row = rows[event.optimizer] = Row(event.step + 1)
        if row.broken:
            return None
        if not lost:
            row.broken = since >= 0  # the first step may come after a warm-up of the author's
            return None
        row.first = row.first if row.times else event.step + 1
        row.times += self.weight
        row.lost += self.weight * len(lost)
        if row.times < (ROW if row.lost >= LONG_ROW and rows is self.rows else LONG_ROW):
            return None
        newest = max(lost)
        site = self.passes.site(newest)
        clear = lost[newest]
        return Waste(event, row.first, row.times, len(lost), row.lost, len(new), site, clear)

    def _only(self, event: Step, lost: dict[int, Clear]) -> tuple[int, ...]:
        """The optimizer's tensors that the lost backward passes reached and the used ones did
        not; none where a lost one reached something that no optimizer holds, such as an input."""
        optimizers = self.roster.optimizers
        used = {tensor for share in event.uses for tensor in share.tensors}
        reached = self.passes.reached(lost)
        held = {tensor for entry in optimizers.values() for tensor in entry.tensors}
        if not reached <= held:
            return ()
        return tuple(sorted((reached & {*optimizers[event.optimizer].tensors}) - used))
