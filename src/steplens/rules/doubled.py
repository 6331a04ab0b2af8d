"""Doubled: a schedule that two lines step, the one after the other, as SL308 tells of it."""

from steplens.model.event import Schedule
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, seen

TIMES = 3  # both lines in a row, with no step of the optimizer between


class Doubled:
    """Compares each step of a schedule with the one before it."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        # scheduler -> its newest step, and how many its optimizer had made by then
        self.newest = Newest[int, tuple[Schedule, int]](256)
        self.times: dict[tuple[int, Site, Site], int] = {}

    def schedule(self, event: Schedule, steps: int) -> None:
        """A schedule was stepped, after so many steps of its optimizer. The number of an epoch may
        be given as often as one likes."""
        before = self.newest.get(event.scheduler)
        self.newest[event.scheduler] = event, steps
        entry = self.roster.schedulers[event.scheduler]
        if before is None or entry.parent >= 0 or entry.type == "ReduceLROnPlateau":
            return
        earlier, then = before
        first, second = earlier.site, event.site
        if steps != then or not steps or event.given or earlier.given:
            return
        if first is None or second is None or first == second:
            return
        key = (event.scheduler, first, second)
        if key not in self.times and len(self.times) >= 256:
            return
        times = self.times[key] = self.times.get(key, 0) + self.cases.weight
        cause = (first, second)
        if times < TIMES or self.cases.again(cause, event.step):
            return
        self.cases.open(
            cause,
            event.step,
            second,
            f"`{entry.type}` was stepped at two lines in a row, {times} times, with no step of the "
            "optimizer between",
            label="stepped a second time here",
            because=(
                *because("stepped here just before", first),
                *because("made here", entry.site),
            ),
            evidence=[
                seen("steps of the schedule", event.count),
                seen("steps of the optimizer", steps),
            ],
            help="step the schedule at one of the two lines",
            event=event.index,
        )
