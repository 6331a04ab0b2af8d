"""Restored: models that were given saved weights, never trained since, and run without grad."""

from collections.abc import Callable

from steplens.model.event import End, Forward, Load, Mode
from steplens.model.site import Site
from steplens.rules.trees import Trees

LEAST = 2  # forwards: a single one may be a dry run


class Answers:
    """Forwards in train mode without grad of a restored model: the ``first``, how many (``count``),
    how many ``drew`` random numbers, the norms whose statistics ``moved``."""

    def __init__(self, first: Forward) -> None:
        self.first = first
        self.count = self.drew = 0
        self.moved: dict[int, None] = {}
        self.fresh = 0  # forwards that were not given the tensors of the one before


class Restored:
    """Modules by number, from their load on: until something trains, switches their mode, or takes
    their output."""

    def __init__(self, trees: Trees, tell: Callable[[int, Answers, Site | None], None]) -> None:
        self.trees = trees
        self.tell = tell
        self.loads: dict[int, Site | None] = {}
        self.open: dict[int, Answers] = {}

    def load(self, event: Load) -> None:
        """Weights from elsewhere went into a module."""
        if event.what == "module" and event.given and not event.aliases:
            self.loads[event.owner] = event.site
            self.open.pop(event.owner, None)

    def stirred(self) -> None:
        """A backward or a step: what was made before may have gone into it."""
        self.open.clear()

    def mode(self, event: Mode) -> None:
        """Somebody has chosen a mode."""
        for module in {event.module, *self.trees.above(event.module)}:
            self.loads.pop(module, None)
            self.open.pop(module, None)

    def training(self, event: Forward) -> None:
        """A forward that recorded a graph: of the module itself, or with its output."""
        self.loads.pop(event.module, None)
        self.open.pop(event.module, None)
        self._fed(event)

    def forward(self, event: Forward, weight: int) -> None:
        """A forward without grad, in train mode and with effect."""
        self._fed(event)
        if event.module not in self.loads or event.purpose or event.discarded:
            return
        answers = self.open.setdefault(event.module, Answers(event))
        answers.count += weight
        answers.drew += weight * bool(event.drew)
        answers.fresh += weight * (event.again < 0)
        answers.moved.update(dict.fromkeys(event.statistics))

    def _fed(self, event: Forward) -> None:
        """Another module was given the output of one."""
        for module, answers in list(self.open.items()):
            if answers.first.index in event.fed_by:
                del self.open[module]

    def end(self, event: End) -> None:
        """Tell of the modules whose output nothing can have been trained with."""
        optimizers = self.trees.roster.optimizers
        for module, answers in self.open.items() if event.status == "done" else ():
            if (
                min(answers.count, answers.fresh) >= LEAST
                and (answers.moved or answers.drew)
                and not any(self.trees.trains(number, module) for number in optimizers)
            ):
                self.tell(module, answers, self.loads.get(module))
