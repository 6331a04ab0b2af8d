"""Stretched: schedules as long as a run has backward passes, stepped once for several of them; and
those as long as it has steps, stepped with every pass."""

from collections.abc import Iterable

from steplens.model.event import Schedule, Step
from steplens.model.finding import Evidence
from steplens.model.roster import SchedulerEntry
from steplens.rules.base import seen

NEAR = 0.8  # a length in steps is that of the run, or as much of it, one way or the other


class Stretched:
    """Counts the backward passes that the steps of each optimizer used."""

    def __init__(self) -> None:
        self.passes: dict[int, int] = {}  # optimizer -> those that its steps used

    def step(self, event: Step, weight: int) -> None:
        """A step, ``weight`` times."""
        number = event.optimizer
        used = {held.backward for share in event.uses for held in share.holds if not held.used_by}
        self.passes[number] = self.passes.get(number, 0) + len(used) * weight

    def tells(
        self, last: Schedule, entry: SchedulerEntry, steps: int, batches: Iterable[int]
    ) -> bool:
        """Whether a schedule that was stepped with its optimizer's ``steps``, to its ``last``, is
        as long as the run has backward passes: to the last one, and those that no step has used any
        more.

        Two losses of each batch may have a pass each; two to a step are told only where the length
        is a number of whole passes through ``batches``.
        """
        passes = self.passes.get(entry.optimizer, 0)
        if passes < 2 * steps or not steps or abs(last.count - steps) > 1:
            return False
        each = -(-passes // steps)
        if each == 2 and all(entry.length % count for count in batches):
            return False
        return passes <= entry.length < passes + each

    def hurried(self, last: Schedule, entry: SchedulerEntry, steps: int) -> bool:
        """The other way round: whether a schedule as long as the run has ``steps`` was stepped with
        each of the backward passes, several of which a step used."""
        passes = self.passes.get(entry.optimizer, 0)
        each = passes // steps if steps else 0
        return each > 1 and abs(entry.length - steps) <= 1 and abs(last.count - passes) <= each

    def seldom(
        self, last: Schedule, entry: SchedulerEntry, steps: int, batches: Iterable[int]
    ) -> bool:
        """Whether a schedule exactly as long as the run has ``steps`` was stepped once for each
        pass through ``batches``."""
        once = any(last.count * count == steps for count in batches if count > 1)
        return once and last.count > 1 and entry.length == steps

    def in_steps(self, length: int, steps: int, batches: set[int]) -> bool | None:
        """Whether a length counts steps: those of this run, or of one pass. It may where it is of
        whole passes (None); else it may count epochs, of which a run that was cut short made a
        few."""
        if NEAR * length <= steps <= length / NEAR or length in batches:
            return True
        return None if any(length % each == 0 for each in batches) else False

    def evidence(self, entry: SchedulerEntry, steps: int) -> list[Evidence]:
        """How many passes there were, where that is more than the steps."""
        passes = self.passes.get(entry.optimizer, 0)
        return [seen("backward passes that they used", passes)] if passes > steps else []
