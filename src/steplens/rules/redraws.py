"""Random numbers drawn again: the finding of SL506 on seeds and on what generators give."""

from steplens.model.event import Redraw
from steplens.rules.base import Cases, because, seen

STATE = "state of the generator at the next backward"
SEEDS = ("torch.manual_seed", "random.seed", "numpy.random.seed")  # all else draws


def tell(cases: Cases, event: Redraw) -> None:
    """A seed was set again to the same value, or the same numbers were drawn from a generator."""
    cause = (event.site, event.how)
    if cases.again(cause, event.step + 1):
        return
    order = event.how not in SEEDS
    drawn = "permutation" if event.how == "torch.randperm" else "numbers"
    said = (
        f"`{event.how}` drew the same {drawn}"
        if order
        else f"`{event.how}({event.value})` was called again, and the same random numbers were "
        "drawn"
    )
    cases.open(
        cause,
        event.step + 1,
        event.site,
        f"{said} as after step {event.earlier}",
        label="its generator begins anew each time" if order else "the seed is reset here",
        because=because("called here", event.caller),
        evidence=(
            seen(f"the {drawn}" if order else STATE, "the same both times", "another"),
            seen("steps in between", event.step - event.earlier),
        ),
        help="set the seed once, before training, or another one for each epoch",
        severity="note" if event.meant else None,
        event=event.index,
    )  # fmt: skip
