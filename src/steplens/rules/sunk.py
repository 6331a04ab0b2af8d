"""Sunk: a `ReduceLROnPlateau` that was given the loss of each batch, and took its noise for a
plateau within the first pass of the data, as SL308 tells of it."""

from collections.abc import Iterable, Mapping

from steplens.model.event import Forward, Schedule
from steplens.model.newest import Newest
from steplens.model.roster import SchedulerEntry
from steplens.rules.base import Cases, because, number, seen

PASSES = 4  # of the data, of which the first has seen the rate sink
SHORT = 10  # times the patience, and less than a pass of the data
LEARNT = 0.5  # of the first metric, or less in the mean: the model had learned by then
NOISE = 1.2  # times the least metric since, the largest, though the weights hardly moved
NOTHING = 1e-6  # of the first rate, or less at the end: SL306 tells


class Sunk:
    """How many steps lie between the evaluations of each module: they tell what the program takes
    for a pass where no loader does, or where a loader of other data does. ``rates`` are the lowest
    and the highest that each scheduler has given."""

    def __init__(self, cases: Cases, rates: Mapping[int, tuple[float, float]]) -> None:
        self.cases = cases
        self.rates = rates
        # module -> the step of its first evaluation, and of the newest; -1: not at multiples of it
        self.evaluated = Newest[int, tuple[int, int]](64)

    def forward(self, event: Forward) -> None:
        """A model was asked."""
        if event.grad or event.training or event.step < 1:
            return
        first, newest = self.evaluated.get(event.module, (event.step, event.step))
        sound = newest >= 0 and event.step % first == 0
        self.evaluated[event.module] = first, event.step if sound else -1

    def tell(
        self, last: Schedule, entry: SchedulerEntry, steps: int, batches: Iterable[int]
    ) -> None:
        """At the end of a run of so many ``steps``: the scheduler was stepped with each of them.
        A plateau that was one is told from noise by the model, which has learned by then, and by a
        patience that is no small part of a pass."""
        sunk = entry.sunk
        if sunk is None or entry.parent >= 0 or last.fallen < 1 or abs(last.count - steps) > 1:
            return
        rate, (_, top) = max(last.lrs, default=0.0), self.rates.get(entry.number, (0.0, 0.0))
        if rate <= NOTHING * top:
            return
        patience, mode = entry.options.get("patience"), entry.options.get("mode")
        between = [a for a, b in self.evaluated.values() if 1 < a < b]
        passes = between or [count for count in batches if count > 1 and steps % count == 0]
        if not passes or not isinstance(patience, int) or mode != "min":
            return
        least, most, mean = min(passes), max(passes), sunk.total / sunk.count
        if sunk.steps > least or steps < PASSES * most or SHORT * patience >= least:
            return
        if not (mean > LEARNT * sunk.first > 0 and sunk.high > NOISE * sunk.low):
            return
        if self.cases.again(entry.site, last.step):
            return
        self.cases.open(
            entry.site,
            last.step,
            last.site,
            f"`{entry.type}`, stepped with each batch, brought the rate to a thousandth within the "
            f"first of {steps // most} passes of the data",
            label="given the loss of one batch",
            because=because("laid out here", entry.site),
            evidence=[
                seen("its patience, in steps", patience, f"{most}, in a pass of the data"),
                seen("steps when the rate was a thousandth", sunk.steps, f"{steps}, in all"),
                seen("learning rate at the end", rate, f"{number(top)}, the highest"),
                seen("metrics since then", f"{number(sunk.low)} to {number(sunk.high)}"),
                seen("in the mean", mean, f"{number(sunk.first)}, the first"),
            ],
            help="step it once for each pass of the data, with a loss over many batches",
            event=last.index,
        )
