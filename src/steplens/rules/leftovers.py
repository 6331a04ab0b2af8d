"""Leftovers: a loader's last batch that is trained on after its iterator has ended, as SL506
tells."""

from steplens.model.event import Batch, Step
from steplens.model.newest import Newest
from steplens.rules.base import Cases, because, seen
from steplens.rules.passes import Pass

LOADERS = 64  # whose passes ended
STEPS = 8  # after the end, beyond two batches' worth of them: one may have been read ahead


class Leftovers:
    """The loaders whose last batch is used on, until one gives another or it has been told."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.ends = Newest[int, int](LOADERS)  # loader -> steps of its pass at the end of it
        self.left: tuple[Batch, Pass] | None = None

    def end(self, loader: int, current: Pass) -> None:
        """A pass over this loader is over."""
        self.ends[loader] = current.steps

    def found(self, event: Batch, current: Pass) -> None:
        """Models in training were given its last batch again and again since."""
        if event.loader in self.ends:
            self.left = event, current

    def read(self, loader: int) -> None:
        """Another batch is read, or a pass begins."""
        self.ends.pop(loader, None)
        self.left = None

    def step(self, event: Step) -> None:
        """A step, which the passes have counted."""
        if self.left is None:
            return
        left, current = self.left
        before = self.ends[left.loader]
        since = current.steps - before
        if since * left.count <= 2 * before + STEPS * left.count:
            return
        key = ("left", current.key)
        if self.cases.again(key, event.step + 1):
            self.cases.amend(key, count=since)
            return
        self.cases.open(
            key,
            event.step + 1 - since,
            left.site,
            f"the loader's iterator was at its end here, and the last batch was trained on again "
            f"at each of the {since} steps since",
            label="no batch was left to give",
            because=(
                *because("it is caught here", left.made),
                *because("the steps go on with the last batch", event.site),
                *because("its loader was made here", current.made),
            ),
            evidence=(
                seen("batches that the pass gave", left.count),
                seen("steps in the pass", before),
                seen("steps since, with no batch read", since, 0),
            ),
            help="begin a new pass where `StopIteration` is raised: `batches = iter(loader)`",
            event=event.index,
        )
