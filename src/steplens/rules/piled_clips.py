"""Piled clips: what SL206 says of a clip between the backward passes that one step adds up."""

from collections.abc import Sequence

from steplens.model.event import Clip, Contribution, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, number, seen
from steplens.rules.clips import Clips

TOLD = "piled"


class PiledClips:
    """Looks, at each step, for a line that clipped after several backward passes of one line, whose
    contributions were not cleared in between: it has scaled the first of them each time."""

    def __init__(self, roster: Roster, cases: Cases, clips: Clips) -> None:
        self.roster = roster
        self.cases = cases
        self.sites = clips.sites  # backward pass -> its line

    def step(self, event: Step, clips: Sequence[Clip]) -> None:
        """What the step used, and the clips before it."""
        if len(clips) < 2 or event.rewritten or event.unknown or event.closure:
            return
        share = event.uses[0] if event.uses else None
        if share is None or any(held.used_by for held in share.holds) or len(share.holds) < 2:
            return
        line = self._line(share.holds)
        between = [
            clip
            for clip in clips
            if share.holds[0].backward < clip.index < share.holds[-1].backward
            and not clip.scaled
            and any(not set(share.tensors).isdisjoint(held.tensors) for held in clip.shares)
        ]
        last = [clip for clip in clips if share.holds[-1].backward < clip.index < event.index]
        if line is None or len(between) != len(share.holds) - 1 or not last:
            return
        hard = [clip for clip in between if _cut(clip) < 1.0]
        if len({clip.site for clip in (*between, *last)}) == 1 and hard:
            self._tell(event, between, hard, share.tensors, line)

    def _line(self, holds: Sequence[Contribution]) -> Site | None:
        """The line of all these backward passes; None where there are several."""
        lines = {self.sites.get(held.backward) for held in holds}
        return lines.pop() if len(lines) == 1 else None

    def _tell(
        self,
        event: Step,
        between: Sequence[Clip],
        hard: Sequence[Clip],
        tensors: Sequence[int],
        line: Site,
    ) -> None:
        cause = (TOLD, between[0].site)
        if self.cases.again(cause, event.step + 1):
            return
        left = 1.0
        for clip in between:
            left *= _cut(clip)
        self.cases.open(
            cause,
            event.step + 1,
            between[0].site,
            f"gradients were clipped {len(between)} times while the {len(between) + 1} "
            "contributions to one step were added up",
            label="clips the sum so far, after each backward pass",
            because=(
                *because("the next pass of this line adds to what was clipped", line),
                *because("this step used the sum", event.site),
            ),
            evidence=(
                seen("clips before the last contribution", len(between), 0),
                seen("norm at the first of them that cut", number(hard[0].norm or 0.0)),
                seen("bound", number(hard[0].bound or 0.0)),
                seen("left of the first contribution before the last one came", left, 1.0),
                seen("gradients", f"{len(tensors)} ({named(self.roster, tensors)})"),
            ),
            help="clip once for each step, between the last `backward()` and `step()`",
            severity="warning",
            event=event.index,
        )


def _cut(clip: Clip) -> float:
    """The factor by which a clip of norms multiplied all gradients; 1 where it is not known."""
    if clip.norm is None or clip.bound is None or clip.norm <= clip.bound:
        return 1.0
    return clip.bound / clip.norm
