"""Doubled: a schedule that two lines step, the one after the other, or two of one optimizer that
are laid out alike while another has none, as SL308 tells of them."""

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
        self.twins: dict[tuple[int, int], int] = {}  # schedules stepped in a row, and how often
        self.last = Newest[int, tuple[Schedule, int]](256)  # optimizer -> the same, of any schedule

    def schedule(self, event: Schedule, counts: dict[int, int]) -> None:
        """A schedule was stepped, after so many steps of its optimizer and others. The number of an
        epoch may be given as often as one likes."""
        steps = counts.get(event.optimizer, 0)
        self._twin(event, steps, counts)
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

    def _twin(self, event: Schedule, steps: int, counts: dict[int, int]) -> None:
        """Whether another schedule of the same optimizer, laid out alike, was stepped just before,
        and an optimizer that steps has none."""
        before, self.last[event.optimizer] = self.last.get(event.optimizer), (event, steps)
        if before is None or before[1] != steps or not steps or len(self.twins) >= 256:
            return
        one, two = (self.roster.schedulers[each.scheduler] for each in (before[0], event))
        if one.number == two.number or max(one.parent, two.parent) >= 0:
            return
        if (one.type, one.options, one.length) != (two.type, two.options, two.length):
            return
        key = (one.number, two.number)
        times = self.twins[key] = self.twins.get(key, 0) + self.cases.weight
        scheduled = {each.optimizer for each in self.roster.schedulers.values()}
        left = [number for number, made in counts.items() if made and number not in scheduled]
        if times < TIMES or not left or self.cases.again(two.site, event.step):
            return
        names = [self.roster.optimizers[each].label for each in (event.optimizer, left[0])]
        mine, other = (f"`{name}`" if name else "an optimizer" for name in names)
        self.cases.open(
            two.site,
            event.step,
            two.site,
            f"two `{two.type}` that are laid out alike set the rate of {mine}, and none that of "
            f"{other}",
            label="the second of them was made here",
            because=(*because("the first one", one.site), *because("stepped here", event.site)),
            evidence=[
                seen("schedules of this optimizer", 2, 1),
                seen("optimizers that step without one", len(left), 0),
            ],
            help="give each schedule its own optimizer",
            event=event.index,
        )
