"""SL208: a step whose gradients still bore the loss scale."""

from steplens.model.event import Backward, Clip, Step
from steplens.model.newest import Newest
from steplens.model.roster import OptimizerEntry, Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen

KEPT = 128  # backward passes whose line is remembered


@rule("SL208", "step-with-loss-scale", "error", needs=("scale",))
class StepWithLossScale:
    """A step that used gradients which still bore the scale of a `GradScaler`.

    ## What it does
    Reports an `optimizer.step()` that the program calls itself after the backward pass of
    `scaler.scale(loss)`, with no `unscale_` and no division by hand in between: the gradients are
    those of the loss times the scale. A warning for an optimizer that divides gradients by their
    own size (Adam).

    ## Why is this bad?
    The scale is 65536 at first. A step of SGD is as many times too long. Adam hides that, but not
    what else `scaler.step` is for: a step is not held back when a gradient overflows, and the scale
    never comes down.

    ## Example
        scaler.scale(loss).backward()
        optimizer.step()

    ## Use instead
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

    ## When it is fine
    A scaler that is off, or whose scale is 1; gradients that `unscale_` or the author has divided;
    optimizers of the author's own, which may divide; steps given a closure. Where gradients were
    clipped with the scale on, SL206 tells.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.sites = Newest[int, Site | None](KEPT)
        self.clipped = -1  # the newest clip of gradients with the scale on

    def backward(self, event: Backward) -> None:
        if event.scaled:
            self.sites[event.index] = event.site

    def clip(self, event: Clip) -> None:
        if event.scaled:
            self.clipped = event.index

    def step(self, event: Step) -> None:
        if not event.scale or event.skipped or not event.uses:
            return
        made = max(share.holds[-1].backward for share in event.uses)
        cause = event.site or event.optimizer
        if self.clipped > made or self.cases.again(cause, event.step + 1):
            return
        entry = self.roster.optimizers[event.optimizer]
        used = sum(len(share.tensors) for share in event.uses)
        self.cases.open(
            cause,
            event.step + 1,
            event.site,
            f"the step used gradients that still bore the loss scale of {event.scale:.6g}",
            label="stepped here, not by the scaler",
            because=because("this backward made them, of a scaled loss", self.sites.get(made)),
            evidence=(
                seen("gradients used with the scale on", used, 0),
                seen("they are those of the loss times", event.scale, 1),
            ),
            help="call `scaler.step(optimizer)` and `scaler.update()`",
            severity="warning" if evens_out(entry) else None,
            event=event.index,
        )


def evens_out(optimizer: OptimizerEntry) -> bool:
    """Whether the optimizer divides gradients by their own size."""
    return any("eps" in group or "etas" in group for group in optimizer.groups)
