"""Overridden: a rate that a plateau lowered and another schedule sets back, as SL308 tells of it.

A schedule that computes the rate from its own count (`LambdaLR`, `OneCycleLR`) does not see what
another has done to it, and writes over that with its next step.
"""

from typing import NamedTuple

from steplens.model.event import Schedule, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, number, seen

PLATEAU = "ReduceLROnPlateau"
MOST = 1  # steps of the optimizer that use the lower rate


class Lowered(NamedTuple):
    """What a plateau did: the rates before its step, and the optimizer's steps since."""

    event: Schedule
    before: tuple[float, ...]
    steps: int


class Overridden:
    """Follows the rates of each optimizer from one schedule's step to the next."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.rates = Newest[int, tuple[float, ...]](256)  # optimizer -> its rates
        self.lowered = Newest[int, Lowered](256)

    def step(self, event: Step) -> None:
        """The optimizer went on at these rates."""
        self.rates[event.optimizer] = event.lrs
        lowered = self.lowered.get(event.optimizer)
        if lowered is not None:
            steps = lowered.steps + self.cases.weight
            self.lowered[event.optimizer] = lowered._replace(steps=steps)

    def schedule(self, event: Schedule) -> None:
        """A schedule was stepped."""
        before = self.rates.get(event.optimizer, ())
        self.rates[event.optimizer] = event.lrs
        entry = self.roster.schedulers[event.scheduler]
        if entry.type == PLATEAU:
            if before and all(new < old for new, old in zip(event.lrs, before, strict=False)):
                self.lowered[event.optimizer] = Lowered(event, before, 0)
            return
        lowered = self.lowered.pop(event.optimizer, None)
        if lowered is None or lowered.steps > MOST or lowered.before != event.lrs:
            return
        plateau = lowered.event
        cause = (event.site, plateau.site)
        if self.cases.again(cause, event.step):
            return
        self.cases.open(
            cause,
            event.step,
            event.site,
            f"`{entry.type}` set the learning rate back to {number(event.lrs[0])}, which "
            f"`{PLATEAU}` had lowered to {number(plateau.lrs[0])}: the reduction is lost",
            label="writes over the lower rate",
            because=(
                *because("lowered here", plateau.site),
                *because("made here", entry.site),
            ),
            evidence=[
                seen("learning rate", event.lrs[0], plateau.lrs[0]),
                seen("steps at the lower rate", lowered.steps),
            ],
            help="step the warm-up only while it lasts, then the plateau alone",
            event=event.index,
        )
