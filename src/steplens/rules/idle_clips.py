"""Idle clips: clips of gradients that were cleared before any step had used them, and of those that
a step had used already."""

from collections.abc import Callable, Iterator

from steplens.model.event import Clear, Clip, Share, Step
from steplens.model.newest import Newest
from steplens.model.site import Site

TIMES = 2  # at one line, and never otherwise there


class Waiting:
    """A clip whose gradients no step has used yet, and the step that used others of the same
    backward, unclipped."""

    __slots__ = ("clip", "tensors", "backwards", "step", "unclipped")

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.tensors = {tensor for share in clip.shares for tensor in share.tensors}
        self.backwards = {share.holds[-1].backward for share in clip.shares}
        self.step: Step | None = None
        self.unclipped: list[Share] = []


class IdleClips:
    """Follows clips up to the step or the clear of their gradients; ``clipped`` says whether a
    share was clipped before a step."""

    def __init__(self, clipped: Callable[[Share, Step], bool]) -> None:
        self.clipped = clipped
        self.waiting: dict[Site | None, Waiting] = {}
        self.useful: set[Site | None] = set()  # lines that have clipped what a step used
        self.counts: dict[Site | None, int] = {}

    def clip(self, event: Clip) -> None:
        """A clip that found gradients no step has used."""
        if event.site not in self.useful and not event.unknown and len(self.waiting) < 16:
            self.waiting[event.site] = Waiting(event)

    def step(self, event: Step) -> None:
        """A step of what was clipped, or of others."""
        for site, waiting in list(self.waiting.items()):
            if not waiting.tensors.isdisjoint(t for share in event.uses for t in share.tensors):
                self.useful.add(site)
                del self.waiting[site]
            elif waiting.step is None and not (event.rewritten or event.unknown or event.closure):
                waiting.unclipped = [
                    share
                    for share in event.uses
                    if share.holds[-1].backward in waiting.backwards
                    and not self.clipped(share, event)
                ]
                waiting.step = event if waiting.unclipped else None

    def clear(self, event: Clear) -> Iterator[tuple[Clip, Step, list[Share]]]:
        """The clips whose gradients this clears unused, once it has happened again."""
        lost = {tensor for share in event.lost for tensor in share.tensors}
        for site, waiting in list(self.waiting.items()):
            if waiting.tensors.isdisjoint(lost):
                continue
            del self.waiting[site]
            if waiting.step is None:
                continue
            count = self.counts[site] = self.counts.get(site, 0) + 1
            if count >= TIMES:
                yield waiting.clip, waiting.step, waiting.unclipped


class SpentClips:
    """Clips of nothing but what a step had used, before a step of other parameters."""

    def __init__(self) -> None:
        self.times = Newest[Site | None, int](64)  # by line

    def again(self, clip: Clip, unclipped: list[Share]) -> bool:
        """Whether the step that follows uses what backward passes made after that step, which was
        so before at this line: the clip was meant for it."""
        used = max(share.holds[-1].used_by[-1] for share in clip.shares)
        mine = {tensor for share in clip.shares for tensor in share.tensors}
        if not all(
            share.holds[-1].backward > used and mine.isdisjoint(share.tensors)
            for share in unclipped
        ):
            return False
        times = self.times[clip.site] = self.times.get(clip.site, 0) + 1
        return times >= TIMES
