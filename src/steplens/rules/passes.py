"""One pass over a loader, as the rule on repeated batches follows it."""

import math

from steplens.model.event import Batch
from steplens.model.site import Site


class Pass:
    """What one loader has handed out in its present pass."""

    __slots__ = (
        "site", "digest", "batches", "seen", "steps", "alone", "shuffled", "length", "data", "made",
        "optimizers", "trained", "key", "first", "before", "alike", "chance",
    )  # fmt: skip

    def __init__(self, event: Batch) -> None:
        self.site: Site | None = event.site
        self.shuffled = event.shuffled
        self.length = event.batches
        self.digest = ""
        self.batches = 0
        self.seen = 1  # passes in a row with this first batch and no other
        self.steps = 0
        self.before = 0  # steps in the passes before that gave this first batch and no other
        self.alone = True
        self.alike = 0  # passes in a row, up to this one, that began as the one before
        self.chance = _chance(event)
        self.data = event.data
        self.key = (event.data if event.data >= 0 else -2 - event.loader, "order")
        self.made: Site | None = event.made
        known = event.data >= 0 and event.made is not None
        self.first = (event.data, event.made) if known else (event.loader, None)
        self.optimizers: set[int] = set()  # that stepped during the pass
        self.trained: set[int] | None = None  # during another loader's pass that began alike

    @property
    def goes_on(self) -> bool:
        """Whether it gave one batch alone, for a step or, with others, for an accumulated one."""
        return self.alone and self.batches == 1 and self.steps <= 1

    def follow(self, past: "Pass") -> None:
        """Begin where a pass that gave one batch alone has ended."""
        self.seen, self.digest, self.before = past.seen, past.digest, past.before + past.steps


def _chance(event: Batch) -> float:
    """How likely a shuffled pass begins with the batch that the one before began with; 0 where it
    is not known how large the batches are."""
    if event.samples < 1 or event.batches < 1:
        return 0.0
    size = -(-event.samples // event.batches)
    return 1 / math.perm(event.samples, size) if size <= 8 else 0.0
