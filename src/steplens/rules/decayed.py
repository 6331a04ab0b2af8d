"""Decayed: rows that a mask on their gradient was to freeze, moved by weight decay."""

from steplens.model.event import Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, number, seen


def masked(event: Step, roster: Roster, cases: Cases) -> None:
    """Tell of the rows that a step was found to move, once for each parameter."""
    found = event.masked
    if found is None or event.skipped:
        return
    entry, name = roster.optimizers[event.optimizer], roster.name(found.tensor)
    how = "a hook" if found.hooked else "a line after the backward"
    cases.open(
        ("masked", found.tensor),
        event.step + 1,
        entry.site or event.site,
        f"weight decay moves {found.rows} of {found.of} rows of `{name}`, whose gradient {how} "
        "sets to 0",
        label=f"its weight decay is {number(found.decay)}",
        because=(
            *because("this hook is given their gradient", found.hook),
            *because("moved here", event.site if entry.site is not None else None),
        ),
        evidence=(
            seen(
                "looks at which rows had a gradient in the backward and 0 in the step",
                found.looks,
            ),
            seen(
                f"norm of these rows after {found.steps} steps more",
                f"{found.after:.6g}",
                f"{found.before:.6g}, as before",
            ),
        ),
        help="give this parameter a group of its own with `weight_decay=0`, or put the rows back "
        "after each step",
        event=event.index,
        tensors=(found.tensor,),
    )
