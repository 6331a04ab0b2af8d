"""Clips: what SL206 says of a clip that was out of place."""

from collections.abc import Sequence

from steplens.model.event import Backward, Clip, Share, Step, Vain
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, number, seen

KEPT = 128  # lines of backward passes remembered
FACTS = {
    "before": "gradients were clipped before the backward pass that made those the step used",
    "after": "gradients were clipped after the step that used them",
    "others": "parameters without a gradient were clipped, and the step used others, unclipped",
    "unused": "gradients that no step uses were clipped, and the step used others, unclipped",
    "spent": "gradients that a step had used already were clipped, and the next step used others, "
    "unclipped",
    "scaled": "gradients were clipped while they still bore the loss scale",
    "zero": "gradients were clipped to 0: nothing is left of them",
}
HELP = {
    "before": "clip between `backward()` and `step()`",
    "after": "clip between `backward()` and `step()`",
    "others": "pass the parameters of the optimizer that steps",
    "unused": "pass the parameters of the optimizer that steps",
    "spent": "pass the parameters of the optimizer that steps",
    "scaled": "call `scaler.unscale_(optimizer)` before clipping",
    "zero": "leave the call out where there is to be no bound, or give it `float('inf')`",
}

SUBJECTS = {"scaled": "clipped with the scale on", "zero": "clipped to 0"}


class Clips:
    """The findings, one for each line that clips, with the backward passes they speak of."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.sites = Newest[int, Site | None](KEPT)

    def backward(self, event: Backward) -> None:
        """A backward pass that a finding may name."""
        self.sites[event.index] = event.site

    def tell(self, how: str, clip: Clip, step: Step | None, missed: Sequence[Share]) -> None:
        """Say ``how`` a clip was out of place (a key of FACTS), and which Shares it missed."""
        cause = clip.site or clip.how
        now = (step.step if step is not None and step.index > clip.index else clip.step) + 1
        if self.cases.again(cause, now):
            return
        used = [tensor for share in missed for tensor in share.tensors]
        subject = SUBJECTS.get(how, "used by the step unclipped")
        self.cases.open(
            cause,
            now,
            clip.site,
            FACTS[how],
            label="clipped here",
            because=(
                *because("this backward made them", self.sites.get(missed[0].holds[-1].backward)),
                *because("this step used them", step.site if step is not None else None),
            ),
            evidence=(
                seen("gradients the clip found", _held(clip, how), len(used)),
                seen(subject, f"{len(used)} gradients ({named(self.roster, used)})"),
                seen("bound", number(clip.bound or 0.0)),
            ),
            help=HELP[how],
            event=clip.index,
        )

    def dropped(self, event: Vain) -> None:
        """Say that the result of a clip goes nowhere."""
        now = max(event.step, 1)
        if not self.cases.again(("dropped", event.name), now):
            self.cases.open(
                ("dropped", event.name),
                now,
                event.site,
                f"`{event.name}` makes clipped values and drops them: nothing is clipped",
                label="the result goes nowhere",
                help="clip in place, with the underscore: `clamp_`",
                event=event.index,
            )


def _held(clip: Clip, how: str) -> str:
    """What the gradients that a clip was given held."""
    count = sum(len(share.tensors) for share in clip.shares)
    words = {"unused": f"{count}, all cleared unused", "spent": f"{count}, all used already"}
    return words.get(how, str(count * (how in SUBJECTS)))
