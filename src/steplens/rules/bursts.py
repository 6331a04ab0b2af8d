"""Bursts: forwards without grad of one module, and what comes after them."""

from collections.abc import Callable

from steplens.model.event import Batch, End, Forward, Step
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.rules.trees import Trees

LOADERS = 256  # those used last are remembered
BATCHES = 3  # of one DataLoader, each with a forward and no training between


class Burst:
    """Forwards of a module in train mode without grad, with no backward and no step between.

    ``batches`` counts the batches of one DataLoader that they came with, ``repeats`` those given
    the same tensors as one of them before, ``steps`` what each optimizer did with it since,
    ``closed`` that the module has run a training forward since, ``stirred`` that there was a
    backward or step, ``meant`` that ``train()`` was called just before it.
    """

    __slots__ = (
        "first", "count", "forwards", "moved", "awake", "drew", "repeats", "loader", "batch",
        "batches", "steps", "closed", "stirred", "meant", "told",
    )  # fmt: skip

    def __init__(self, first: Forward, awake: tuple[int, ...], meant: bool) -> None:
        self.first = first
        self.count = 0
        self.forwards: set[int] = set()
        self.moved: dict[int, None] = {}
        self.awake = awake
        self.drew = 0
        self.repeats = 0
        self.loader = self.batch = -1
        self.batches = 0
        self.steps: dict[int, int] = {}
        self.closed = self.stirred = self.told = False
        self.meant = meant

    def add(self, event: Forward, loader: int, batch: int) -> None:
        """One more forward, which came with this batch."""
        self.count += 1
        self.repeats += event.again in self.forwards
        if len(self.forwards) < 64:
            self.forwards.add(event.index)
        self.moved.update(dict.fromkeys(event.statistics))
        self.drew += bool(event.drew)
        if loader != self.loader:
            self.loader, self.batch, self.batches = loader, -1, 0
        if loader >= 0 and batch != self.batch:
            self.batch = batch
            self.batches += 1


class Bursts:
    """The newest burst of each module, until it is clear that it was an evaluation (``found`` is
    called, once) or that training may wait for its output."""

    def __init__(self, trees: Trees, found: Callable[[int, Burst], None]) -> None:
        self.trees = trees
        self.tell = found
        self.open: dict[int, Burst] = {}
        self.loader = (-1, -1)  # loader and index of the newest batch
        self.began = Newest[int, int](LOADERS)  # loader -> index at which its pass began

    def add(self, event: Forward, awake: tuple[int, ...], meant: bool) -> None:
        """A forward in train mode without grad, of a module that steps train."""
        self._fed(event, self.trees.apart)
        burst = self.open.get(event.module)
        if burst is None or burst.stirred or burst.closed:
            burst = self.open[event.module] = Burst(event, awake, meant)
        burst.add(event, *self.loader)
        if burst.batches >= BATCHES:
            self._found(event.module, burst)

    def training(self, event: Forward) -> None:
        """A forward that recorded a graph."""
        self._fed(event, lambda one, other: True)
        burst = self.open.get(event.module)
        if burst is not None and not burst.closed:
            burst.closed = True
            if goes_on(burst.first.site, event.site):
                del self.open[event.module]

    def _fed(self, event: Forward, counts: Callable[[int, int], bool]) -> None:
        """Drop the bursts whose output this forward was given."""
        for module, burst in list(self.open.items()):
            if not burst.forwards.isdisjoint(event.fed_by) and counts(module, event.module):
                del self.open[module]

    def batch(self, event: Batch) -> None:
        """A pass of a DataLoader began, gave a batch, or ended."""
        if event.form == "epoch":
            self.began.pop(event.loader, None)
            self.began[event.loader] = event.index
        elif event.form == "batch":
            self.loader = (event.loader, event.index)
        elif event.form == "end":
            for module, burst in list(self.open.items()):
                whole = self.began.get(event.loader, event.index) < burst.first.index
                if whole and burst.loader == event.loader and not burst.stirred:
                    self._found(module, burst)

    def backward(self) -> None:
        """A backward: what follows is another burst."""
        for burst in self.open.values():
            burst.stirred = True

    def step(self, event: Step) -> None:
        """A step: the second one of the module since the burst did not wait for it."""
        for module, burst in list(self.open.items()):
            burst.stirred = True
            if self.trees.trains(event.optimizer, module):
                steps = burst.steps[event.optimizer] = burst.steps.get(event.optimizer, 0) + 1
                if steps >= 2:
                    self._found(module, burst)
                    del self.open[module]
            elif not burst.steps:  # what was made may have gone into the other model
                del self.open[module]

    def end(self, event: End) -> None:
        """The run is over: what has not been trained with by now never will be."""
        for module, burst in list(self.open.items()):
            if event.status == "done" and not burst.closed and not burst.steps:
                self._found(module, burst)

    def _found(self, module: int, burst: Burst) -> None:
        if not burst.told:
            burst.told = True
            self.tell(module, burst)


def goes_on(burst: Site | None, training: Site | None) -> bool:
    """Whether the training forward stands further down in the same function: it may use what was
    made above it."""
    if burst is None or training is None:
        return False
    same = (burst.file, burst.function) == (training.file, training.function)
    return same and burst.line < training.line
