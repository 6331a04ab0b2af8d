"""One pass over a loader, as the rule on repeated batches follows it."""

from steplens.model.event import Batch
from steplens.model.site import Site


class Pass:
    """What one loader has handed out in its present pass."""

    __slots__ = (
        "site", "digest", "batches", "seen", "steps", "alone", "shuffled", "length", "data", "made",
        "optimizers", "trained", "key", "first",
    )  # fmt: skip

    def __init__(self, event: Batch) -> None:
        self.site: Site | None = event.site
        self.shuffled = event.shuffled
        self.length = event.batches
        self.digest = ""
        self.batches = 0
        self.seen = 1  # passes in a row with this first batch and no other
        self.steps = 0
        self.alone = True
        self.data = event.data
        self.key = (event.data if event.data >= 0 else -2 - event.loader, "order")
        self.made: Site | None = event.made
        known = event.data >= 0 and event.made is not None
        self.first = (event.data, event.made) if known else (event.loader, None)
        self.optimizers: set[int] = set()  # that stepped during the pass
        self.trained: set[int] | None = None  # during another loader's pass that began alike
