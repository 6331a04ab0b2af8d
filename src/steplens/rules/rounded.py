"""Rounded: updates of 16-bit parameters that are rounded away, each time."""

from steplens.model.event import Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, seen

STOOD = "stood"  # of the causes


def stood(event: Step, roster: Roster, cases: Cases) -> None:
    """Tell of an optimizer that has left half of its 16-bit matrices where they were, unless its
    steps were found to have no effect at all."""
    found = event.standing
    if found is None or event.skipped or event.optimizer in cases.findings:
        return
    entry = roster.optimizers[event.optimizer]
    cases.open(
        (STOOD, event.optimizer),
        event.step + 1,
        event.site,
        f"{found.steps} steps of `{entry.type}` left {found.still} of {found.elements} elements "
        f"bit for bit as they were: {found.kind} rounds their updates away",
        label="stepped here",
        because=because("the optimizer was made here", entry.site),
        evidence=(
            seen(
                f"elements of matrices with more than a trace of a gradient at {found.looks} looks "
                "that bear the same bits",
                f"{found.still} of {found.elements}",
                "under half",
            ),
            seen("learning rate", max(event.lrs, default=0.0)),
        ),
        help="keep the parameters in float32 and compute under `torch.autocast`, or take an "
        "optimizer that keeps copies in float32 or rounds at random",
        severity="warning",
        event=event.index,
        tensors=found.tensors,
    )
