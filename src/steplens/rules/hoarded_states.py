"""Hoarded states: several of one model that are kept by reference, as SL312 tells."""

from steplens.model.event import Load
from steplens.model.roster import Roster
from steplens.rules.base import Cases, named, seen


def tell(cases: Cases, roster: Roster, event: Load, help: str) -> None:
    """The line has taken them at as many steps, and each of them is the model as it is now."""
    module = roster.module_name(event.owner)
    cases.open(
        event.site,
        event.step,
        event.site,
        f"the {event.given} states of `{module}` that were taken here and are still held are one: "
        "each of them has the present values",
        label="taken here without a copy",
        evidence=[
            seen("states held, of different steps", event.given),
            seen("memories that they lie in", 1, event.given),
            seen("steps since the first was taken", event.step - event.taken),
            seen("for example", named(roster, event.aliases)),
        ],
        help=help,
        event=event.index,
    )
