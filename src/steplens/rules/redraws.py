"""Random numbers drawn again: the finding of SL506 on seeds and permutations."""

from steplens.model.event import Redraw
from steplens.rules.base import Cases, because, seen


def tell(cases: Cases, event: Redraw) -> None:
    """A seed was set again to the same value, or a permutation drawn again."""
    cause = (event.site, event.how)
    if cases.again(cause, event.step + 1):
        return
    order = event.how == "torch.randperm"
    said = (
        f"`{event.how}` drew the same permutation"
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
            seen("the permutation" if order else "state of the generator at the next backward",
                 "the same both times", "another"),
            seen("steps in between", event.step - event.earlier),
        ),
        help="set the seed once, before training, or another one for each epoch",
        severity="note" if event.meant else None,
        event=event.index,
    )  # fmt: skip
