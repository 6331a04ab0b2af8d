"""Squared: a function of `LambdaLR` that gives the rate itself where a factor is asked for, as
SL306 tells of it."""

import math

from steplens.model.event import Schedule, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, number, seen

STEPS = 3  # of the schedule
PAST = 2  # of these after the largest rate: a warm-up that was cut off rises to its end
LESS = 0.5  # rates from here on are no rates


class Squared:
    """Follows the largest rate of each optimizer with such a schedule."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.last: dict[int, Schedule] = {}  # optimizer -> the newest step of its only schedule
        self.several: set[int] = set()  # optimizers with others
        self.peaks: dict[int, tuple[float, int]] = {}  # optimizer -> largest rate, and when

    def schedule(self, event: Schedule) -> None:
        """A schedule was stepped."""
        before = self.last.get(event.optimizer)
        if before is not None and before.scheduler != event.scheduler:
            self.several.add(event.optimizer)
        self.last[event.optimizer] = event

    def step(self, event: Step) -> None:
        """The optimizer stepped at these rates."""
        if event.lrs:
            peak, _ = self.peaks.get(event.optimizer, (0.0, 0))
            if max(event.lrs) > peak:
                last = self.last.get(event.optimizer)
                self.peaks[event.optimizer] = max(event.lrs), last.count if last else 0

    def end(self) -> None:
        """The run is over: the largest rate is the square of the one the optimizer was made with,
        to the last digit."""
        for optimizer, last in self.last.items():
            entry = self.roster.schedulers[last.scheduler]
            base = entry.options.get("base")
            peak, count = self.peaks.get(optimizer, (0.0, 0))
            if optimizer in self.several or entry.parent >= 0 or not isinstance(base, float):
                continue
            if last.count < STEPS or last.count - count < PAST or not 0 < base < LESS:
                continue
            if math.isclose(peak, base * base, rel_tol=1e-9) and not self.cases.again(
                ("squared", entry.site), last.step
            ):
                self._open(last, base, peak)

    def _open(self, last: Schedule, base: float, peak: float) -> None:
        entry = self.roster.schedulers[last.scheduler]
        self.cases.open(
            ("squared", entry.site),
            1,
            entry.site,
            f"`LambdaLR` multiplies the rate by what its function gives, and it gives the rate: no "
            f"step had more than {number(peak)}",
            label="this function is to give a factor",
            because=because("stepped here", last.site),
            evidence=[
                seen("rate of the optimizer", base),
                seen("largest factor", peak / base, "1"),
                seen("largest rate of a step", peak, base),
            ],
            help="give a factor of the rate: 1.0 at its full height",
            event=last.index,
        )
