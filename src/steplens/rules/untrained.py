"""Passes: whole passes over a DataLoader in which a trained model ran in train mode with gradient
recording on, and nothing was trained."""

from collections.abc import Callable

from steplens.model.event import Backward, Batch, End, Forward, Step
from steplens.model.newest import Newest
from steplens.rules.trees import Trees

LOADERS = 512  # remembered, those used last: some programs make one for each step


class Pass:
    """A pass over one DataLoader: the newest forward of each module in it, how many, and the
    numbers of all."""

    __slots__ = ("loader", "newest", "counts", "numbers")

    def __init__(self, loader: int) -> None:
        self.loader = loader
        self.newest: dict[int, Forward] = {}
        self.counts: dict[int, int] = {}
        self.numbers: set[int] = set()


class Passes:
    """The passes now open, and those that ended untrained: each is told (``tell``) at the next step
    of its model, or the end of the run, unless a backward has reached into it by then."""

    def __init__(self, trees: Trees, tell: Callable[[Forward, int], None]) -> None:
        self.trees = trees
        self.tell = tell
        self.open: dict[int, Pass] = {}
        self.ended: list[Pass] = []
        self.training = Newest[int, None](LOADERS)  # loaders in whose passes something was trained
        self.loader = -1

    def batch(self, event: Batch) -> None:
        """A pass began, gave a batch, or ended."""
        if event.form == "epoch":
            self.open[event.loader] = Pass(event.loader)
        elif event.form == "batch":
            self.loader = event.loader
        else:
            ended = self.open.pop(event.loader, None)
            self.loader = -1 if event.loader == self.loader else self.loader
            if ended is not None and ended.newest and ended.loader not in self.training:
                self.ended.append(ended)

    def forward(self, event: Forward) -> None:
        """A forward in train mode that recorded a graph, of a model that steps train."""
        running = self.open.get(self.loader)
        if running is not None:
            running.newest[event.module] = event
            running.counts[event.module] = running.counts.get(event.module, 0) + 1
            running.numbers.add(event.index)

    def backward(self, event: Backward) -> None:
        """What is open is for training; so is what this reaches into."""
        for loader in self.open:
            self.training.pop(loader, None)
            self.training[loader] = None
        self.open.clear()
        if self.ended:
            self.ended = [p for p in self.ended if p.numbers.isdisjoint(event.forwards)]

    def step(self, event: Step) -> None:
        """The model trains on: the passes that ended were no part of it."""
        for ended in list(self.ended):
            for module, newest in ended.newest.items():
                if self.trees.trains(event.optimizer, module) and event.uses:
                    self.tell(newest, ended.counts[module])
                    ended.newest = {}
                    break
        self.ended = [ended for ended in self.ended if ended.newest]

    def end(self, event: End) -> None:
        """The run is over."""
        for ended in self.ended if event.status == "done" else ():
            for module, newest in ended.newest.items():
                self.tell(newest, ended.counts[module])
        self.ended.clear()
