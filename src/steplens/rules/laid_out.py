"""Laid out: a `LambdaLR` whose function counts the optimizer's steps, stepped far less often."""

from steplens.model.event import Schedule
from steplens.model.roster import SchedulerEntry
from steplens.rules.base import Cases, because, number, seen

LEAST = 50  # steps of a run: smaller numbers stand for much else
UNDER = 4  # a schedule that made at most one step for so many of its optimizer
DOWN = 0.85  # a rate below so much of its highest has come down: the function is given steps


class LaidOut:
    """Keeps the lowest and the highest rate that each schedule gave.

    A function may hold the number of steps and count epochs, if it multiplies them itself: then the
    rate comes down by the end of the run. One that is stepped with epochs and counts steps has
    hardly begun: it warms up to the last, or stands where the warm-up left it.
    """

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.rates: dict[int, tuple[float, float]] = {}

    def schedule(self, event: Schedule) -> None:
        """A scheduler has stepped."""
        if event.lrs:
            rate = max(event.lrs)
            low, high = self.rates.get(event.scheduler, (rate, rate))
            self.rates[event.scheduler] = min(low, rate), max(high, rate)

    def tell(self, last: Schedule, entry: SchedulerEntry, steps: int) -> None:
        """At the end of a run of so many ``steps``, in which the schedule was stepped to its
        ``last``."""
        if entry.parent >= 0 or last.given or not last.lrs:
            return
        if steps not in entry.numbers or steps < max(LEAST, UNDER * last.count):
            return
        low, high = self.rates[entry.number]
        rate = max(last.lrs)
        if low == high or rate < DOWN * high or self.cases.again(entry.site, last.step):
            return
        self.cases.open(
            entry.site,
            last.step,
            last.site,
            f"`{entry.type}` counts to {steps}, the steps of the run, and was stepped "
            f"{last.count} times",
            label="stepped too seldom, or laid out in another unit",
            because=because("laid out here", entry.site),
            evidence=[
                seen("steps of the schedule", last.count, f"{steps}, a number of its function"),
                seen("steps of the optimizer", steps),
                seen("learning rate at the end", rate),
                seen("highest and lowest of the run", f"{number(high)} and {number(low)}"),
            ],
            help="step the schedule in the unit that its function counts: with every batch, or "
            "with every epoch",
            event=last.index,
        )
