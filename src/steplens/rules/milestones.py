"""Milestones: what SL308 asks of a schedule's shape: whether it swings past its end; and those that
fall in steps and have not come near the first one."""

from steplens.model.event import Schedule
from steplens.model.roster import SchedulerEntry
from steplens.rules.base import Cases, because, seen

UNDER = 10  # a run that ends having gone through no more than one part in so many


def tell(cases: Cases, last: Schedule, entry: SchedulerEntry, steps: int) -> None:
    """At the end of a run: the optimizer has made more steps than the whole schedule has, and the
    schedule so few that the rate never changed. A note, as the run may be a short one."""
    if entry.parent >= 0 or last.given:
        return
    if entry.type == "StepLR":
        first = end = entry.options.get("step_size")
    else:
        first, end = (entry.options.get(f"{each}_milestone") for each in ("first", "last"))
    if not isinstance(first, int) or not isinstance(end, int):
        return
    if last.count * UNDER > first or steps < end or cases.again(entry.site, last.step):
        return
    cases.open(
        entry.site,
        last.step,
        last.site,
        f"`{entry.type}` made {last.count} steps, and changes the rate at step {first} first",
        label="stepped too seldom, or laid out in another unit",
        because=because("laid out here", entry.site),
        evidence=[
            seen("steps of the schedule", last.count, f"{first} for the first change"),
            seen("steps of the optimizer", steps),
        ],
        help="count milestones in the unit in which the schedule is stepped: epochs, or batches",
        severity="note",
        event=last.index,
    )


def swings(entry: SchedulerEntry) -> bool:
    """Whether the schedule does harm past its length: a cosine, or a sequence that ends with one,
    goes up again, a falling line was
    meant to fall over the whole run."""
    if entry.parent >= 0:
        return False
    if "CosineAnnealingLR" in (entry.type, entry.options.get("last")):
        return True
    start, end = entry.options.get("start_factor"), entry.options.get("end_factor")
    if not isinstance(start, float) or not isinstance(end, (int, float)):
        return False
    return entry.type == "LinearLR" and end < start
