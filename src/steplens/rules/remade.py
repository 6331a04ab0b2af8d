"""Remade: a schedule that is made anew before any step has used what it set, as SL308 tells of it.

A schedule that computes the rate from its own count (`LambdaLR`, `OneCycleLR`) begins at its first
rate when it is made: made in each epoch and stepped once at its end, it has no effect.
"""

from typing import NamedTuple

from steplens.model.event import Made, Schedule, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, number, seen

TIMES = 2  # rates that were set and taken back


class Pending(NamedTuple):
    """A rate that a schedule has set: the one before, and the line that made another since."""

    event: Schedule
    before: tuple[float, ...]
    anew: Site | None = None


class Remade:
    """Follows the rates of each optimizer from what a schedule sets to the step that uses it."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.rates: dict[int, tuple[float, ...]] = {}  # optimizer -> those of its newest step
        self.pending: dict[int, Pending] = {}
        self.undone: dict[int, int] = {}  # optimizer -> how many were taken back
        self.used: set[int] = set()  # optimizers that used one

    def schedule(self, event: Schedule) -> None:
        """A schedule was stepped."""
        before = self.rates.get(event.optimizer, ())
        if before and event.lrs != before:
            known = self.pending.get(event.optimizer)
            if known is not None and known.event.scheduler == event.scheduler and known.anew:
                return
            self.pending[event.optimizer] = Pending(event, before)

    def made(self, event: Made) -> None:
        """A schedule was made, perhaps for the same optimizer."""
        entry = self.roster.schedulers[event.number] if event.what == "scheduler" else None
        pending = self.pending.get(entry.optimizer) if entry is not None else None
        if entry is None or pending is None or entry.parent >= 0:
            return
        if self.roster.schedulers[pending.event.scheduler].site == entry.site:
            self.pending[entry.optimizer] = pending._replace(anew=entry.site)

    def step(self, event: Step) -> None:
        """The optimizer stepped at these rates."""
        self.rates[event.optimizer] = event.lrs
        pending = self.pending.pop(event.optimizer, None)
        if pending is None or event.optimizer in self.used:
            return
        cause = ("remade", event.optimizer)
        if event.lrs != pending.before or pending.anew is None:
            self.used.add(event.optimizer)
            self.cases.withdraw(cause)
            return
        times = self.undone[event.optimizer] = self.undone.get(event.optimizer, 0) + 1
        if times < TIMES or self.cases.again(cause, event.step + 1):
            return
        entry = self.roster.schedulers[pending.event.scheduler]
        self.cases.open(
            cause,
            event.step + 1,
            pending.anew,
            f"a new `{entry.type}` set the learning rate back to {number(event.lrs[0])} before any "
            "step had used what the last one set",
            label="made anew here, from its first step on",
            because=because("the rate was set here", pending.event.site),
            evidence=[
                seen("learning rate", event.lrs[0], pending.event.lrs[0]),
                seen("rates that were set and never used", times, 0),
            ],
            help="make the schedule once, beside the optimizer",
            event=event.index,
        )
