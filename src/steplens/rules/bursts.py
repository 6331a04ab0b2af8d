"""Bursts: forwards without grad of one module, one after the other, with no training between."""

from steplens.model.event import Forward
from steplens.model.site import Site


class Burst:
    """Forwards of a module in train mode without grad, since the last backward or step.

    ``batches`` counts the batches of one DataLoader that they came with, ``repeats`` those given
    the same tensors as the one before, ``steps`` what each optimizer did with the module since,
    ``closed`` that the module has run a training forward since.
    """

    __slots__ = (
        "first", "count", "forwards", "moved", "awake", "drew", "repeats", "loader", "batch",
        "batches", "steps", "closed", "stirred", "meant",
    )  # fmt: skip

    def __init__(self, first: Forward, awake: tuple[int, ...], meant: bool) -> None:
        self.first = first
        self.count = 0
        self.forwards: set[int] = set()
        self.moved: dict[int, None] = {}
        self.awake = awake
        self.drew = 0
        self.repeats = 0
        self.loader = -1
        self.batch = -1
        self.batches = 0
        self.steps: dict[int, int] = {}
        self.closed = False
        self.stirred = False
        self.meant = meant

    def add(self, event: Forward, loader: int, batch: int) -> None:
        """One more forward, which came with this batch."""
        self.count += 1
        if len(self.forwards) < 64:
            self.forwards.add(event.index)
        self.moved.update(dict.fromkeys(event.statistics))
        self.drew += bool(event.drew)
        self.repeats += event.again >= 0
        if loader != self.loader:
            self.loader, self.batch, self.batches = loader, -1, 0
        if loader >= 0 and batch != self.batch:
            self.batch = batch
            self.batches += 1

    @property
    def site(self) -> Site | None:
        """Where the first forward ran."""
        return self.first.site
