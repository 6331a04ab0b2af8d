"""Early falls: a schedule stepped with every batch that has come down within the first pass of the
data, and stays there for the others, as SL308 tells of it."""

from collections.abc import Iterable, Mapping

from steplens.model.event import Schedule
from steplens.model.roster import SchedulerEntry
from steplens.rules.base import Cases, because, number, seen

NOTHING = 1e-6  # of it, or less at the end: SL306 tells
PASSES = 4  # of the data, of which the first has seen the rate fall


class EarlyFalls:
    """What the last step of each schedule says of when the rate had come down; one that rises again
    is a cycle. ``rates`` are the lowest and the highest that each has given."""

    def __init__(self, cases: Cases, rates: Mapping[int, tuple[float, float]]) -> None:
        self.cases = cases
        self.rates = rates

    def tell(
        self, last: Schedule, entry: SchedulerEntry, steps: int, batches: Iterable[int]
    ) -> None:
        """At the end of a run of so many ``steps``: the schedule was stepped with each of them, and
        had come down within the first of several passes through ``batches``."""
        fallen, (_, high) = last.fallen, self.rates.get(entry.number, (0, 0))
        passes = [count for count in batches if count > 1 and steps % count == 0]
        first = [count for count in passes if fallen <= count and steps >= PASSES * count]
        if fallen < 1 or not first or len(first) < len(passes) or entry.parent >= 0:
            return
        if last.given or entry.type == "ReduceLROnPlateau" or abs(last.count - steps) > 1:
            return
        if max(last.lrs) <= NOTHING * high or self.cases.again(entry.site, last.step):
            return
        self.cases.open(
            entry.site,
            last.step,
            last.site,
            f"`{entry.type}` brought the rate from {number(high)} down to a hundredth of it within "
            f"the first of {steps // max(first)} passes of the data",
            label="stepped with each batch",
            because=because("laid out here", entry.site),
            evidence=[
                seen("steps of the schedule by then", fallen, f"{steps}, in the whole run"),
                seen("batches in a pass of the data", max(first)),
                seen("learning rate at the end", max(last.lrs)),
            ],
            help="step it once for each epoch, or lay it out for batches",
            event=last.index,
        )
