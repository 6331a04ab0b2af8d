"""SL206: a clip that had nothing to clip, or clipped something else than the step used."""

from collections import deque

from steplens.model.event import Backward, Clear, Clip, End, Line, Share, Step, Vain
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, rule
from steplens.rules.clips import Clips
from steplens.rules.idle_clips import IdleClips, SpentClips
from steplens.rules.late_writes import LateWrites
from steplens.rules.piled_clips import PiledClips

MEASURING = 1e5  # a bound no gradient is meant to reach: only the norm is wanted


@rule("SL206", "clip-out-of-place", "error", needs=("clip",))
class ClipOutOfPlace:
    """Gradient clipping that does not reach the gradients that the step uses.

    ## What it does
    Reports `clip_grad_norm_` and `clip_grad_value_` called before the backward pass whose gradients
    the next step uses, after that step, on parameters that never had a gradient (or whose gradients
    are cleared unused each time, or were used by a step already) while others were stepped
    unclipped, or on gradients that a
    `GradScaler` has yet to unscale. A line that clips, below the norm found, after each of several
    backward passes of one line that a step adds up: the first is scaled each time. A line that
    makes gradients smaller by hand after the step that used them, at three steps of the detail
    window, each time before they are cleared: a warning. A bound of 0, which leaves nothing of
    them. A line that does nothing but call `clamp` on a gradient or a parameter's data, without the
    underscore: its result goes nowhere.

    ## Why is this bad?
    Clipping nothing is legal and returns 0. The updates are as large as the gradients are, and the
    first outlier shows it. With the loss scale still on them, all gradients are far above the bound
    and every update is cut to a sliver.

    ## Example
        optimizer.zero_grad()
        clip_grad_norm_(model.parameters(), 1.0)
        loss.backward()
        optimizer.step()

    ## Use instead
        optimizer.zero_grad()
        loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    ## When it is fine
    A clip that finds nothing when the step that follows uses nothing either, or when the gradients
    are clipped again before the step. A bound of infinity, or above 1e5, which measures. A bound
    above the loss scale, which was multiplied by it. Gradients that the author wrote by hand, and
    those that a later step uses, or that another optimizer does, as they were left.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.useful: deque[Clip] = deque(maxlen=64)
        self.empty: dict[Site | None, Clip] = {}  # found nothing; the next step says what it missed
        self.steps: deque[Step] = deque(maxlen=16)
        self.spent = SpentClips()
        self.told = Clips(roster, cases)
        self.idle = IdleClips(self._clipped)
        self.piled = PiledClips(roster, cases, self.told)
        self.late = LateWrites(roster, cases)

    def backward(self, event: Backward) -> None:
        self.told.backward(event)
        self.late.backward(event)

    def line(self, event: Line) -> None:
        self.late.line(event)

    def clip(self, event: Clip) -> None:
        self.late.clip(event)
        if event.bound is None or event.bound > MEASURING:
            return
        if event.unknown or any(not share.holds[-1].used_by for share in event.shares):
            self.useful.append(event)
            self.idle.clip(event)
            if event.bound == 0 and event.shares and event.norm != 0:
                self.told.tell("zero", event, None, event.shares)
            if event.scaled and event.shares:  # not such as were put there by hand
                self.told.tell("scaled", event, None, event.shares)
            return
        self.empty[event.site] = event
        for share in event.shares:
            step = next((s for s in self.steps if s.index == share.holds[-1].used_by[-1]), None)
            if step is not None and not self._clipped(share, step) and not step.rewritten:
                self.told.tell("after", event, step, (share,))
                del self.empty[event.site]
                break

    def end(self, event: End) -> None:
        self.late.look()

    def vain(self, event: Vain) -> None:
        if event.what == "clip":
            self.told.dropped(event)

    def clear(self, event: Clear) -> None:
        self.late.clear(event)
        for clip, step, unclipped in self.idle.clear(event):
            self.told.tell("unused", clip, step, unclipped)

    def step(self, event: Step) -> None:
        if event.skipped:
            return
        self.steps.append(event)
        self.late.step(event)
        self.idle.step(event)
        self.piled.step(event, self.useful)
        if not self.empty:
            return
        empty, self.empty = self.empty, {}
        for clip in empty.values():
            if not (event.rewritten or event.unknown):
                self._missed(clip, event)

    def _missed(self, clip: Clip, step: Step) -> None:
        """Whether the step used what an empty clip should have clipped."""
        tensors = {*clip.idle, *(tensor for share in clip.shares for tensor in share.tensors)}
        unclipped = [
            share
            for share in step.uses
            if not share.holds[-1].used_by and not self._clipped(share, step)
        ]
        later = [share for share in unclipped if share.holds[-1].backward > clip.index]
        if any(not tensors.isdisjoint(share.tensors) for share in later):
            self.told.tell("before", clip, step, later)
        elif clip.others and not clip.reached and unclipped and not later:
            self.told.tell("others", clip, step, unclipped)
        elif clip.shares and unclipped and not later and self.spent.again(clip, unclipped):
            self.told.tell("spent", clip, step, unclipped)

    def _clipped(self, share: Share, step: Step) -> bool:
        """Whether a clip between the share's newest backward and the step covered it."""
        newest, tensors = share.holds[-1].backward, frozenset(share.tensors)
        return any(
            newest < clip.index < step.index
            and (clip.unknown or any(not tensors.isdisjoint(held.tensors) for held in clip.shares))
            for clip in self.useful
        )
