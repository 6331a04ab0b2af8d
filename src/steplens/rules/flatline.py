"""Flatline: how SL306 tells of an optimizer whose steps do nothing any more, or go up the loss."""

from steplens.model.event import Load, Schedule, Step, Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, number, seen
from steplens.rules.rates import BELOW, Rates

LAY_OUT = (
    "lay the schedule out in the unit in which `scheduler.step()` is called (batches or epochs), "
    "over the whole run"
)
BY_HAND = (
    "bring the rate down over the whole run, in the unit in which this line runs (batches or "
    "epochs)"
)
Brought = tuple[Schedule | None, Load | None, Vain | None]  # what brought the rate there


def tell(
    roster: Roster, cases: Cases, event: Step, rates: Rates, brought: Brought, meant: bool
) -> None:
    """Open the finding, with what brought the rate there: a schedule, a load or a line."""
    schedule, load, hand = brought
    entry = roster.optimizers[event.optimizer]
    made = roster.schedulers[schedule.scheduler] if schedule else None
    top = max(event.lrs)
    help = "set a learning rate above 0"
    if schedule:
        label, help = f"stepped {schedule.count} times so far", LAY_OUT
    elif load:
        label = "its options, the rate too, were loaded here"
    elif hand:
        label, help = "sets the rate", BY_HAND
    else:
        label = "made with this rate"
    if not rates.peak:
        message = "every step so far had a learning rate of 0: nothing was learnt"
    elif rates.below:
        message = f"{BELOW}, to {number(top)}: steps from {rates.first} on make the loss larger"
    else:
        message = (
            f"the learning rate has come down to {number(top)}: steps from {rates.first} on do "
            "nothing"
        )
    cases.open(
        event.optimizer,
        rates.first,
        next((each.site for each in (schedule, load, hand) if each), entry.site),
        message,
        label=label,
        because=(
            *because("the optimizer was made here", entry.site if load or hand else None),
            *because("the schedule was made here", made.site if made else None),
            *because(
                "stepped up the loss here" if rates.below else "stepped here without effect",
                event.site,
            ),
        ),
        evidence=[
            seen("largest learning rate so far", rates.peak),
            seen("learning rate now", top),
            seen("steps above 0" if rates.below else "steps with effect", rates.live),
            seen(
                "steps at 0 or less since" if rates.below else "steps without since then",
                rates.faint,
                0,
            ),
        ],
        help=help,
        severity="note" if meant else None,
        event=event.index,
        tensors=entry.tensors,
    )
