"""Flagged: evaluations of a model whose own flag alone says eval, set by no call of ``eval()``."""

from collections.abc import Callable

from steplens.model.event import Forward, Mode
from steplens.model.newest import Newest
from steplens.model.roster import ModeReading
from steplens.rules.trees import Trees

KEPT = 1024  # modules whose newest call is remembered


class Flagged:
    """The newest ``train`` or ``eval`` on each module; ``tell`` hears of a forward without grad of
    a model that ran with its flag set and has it no more, though the newest call that reached it
    said True, or none did, and of whose modules none was switched by itself: those that wake up
    dropouts one by one mean it."""

    def __init__(self, trees: Trees, tell: Callable[[Forward, tuple[int, ...]], None]) -> None:
        self.trees = trees
        self.tell = tell
        self.calls = Newest[int, Mode](KEPT)
        self.trained = Newest[int, bool](KEPT)

    def mode(self, event: Mode) -> None:
        """A call of ``train`` or ``eval``."""
        self.calls.pop(event.module, None)
        self.calls[event.module] = event

    def ran(self, event: Forward) -> None:
        """Any forward."""
        if event.grad and event.training:
            self.trained[event.module] = True

    def forward(self, event: Forward, reading: ModeReading) -> None:
        """A forward without grad, with all that depends on the mode in train mode."""
        if event.training or not event.step or event.module not in self.trained:
            return
        over = {event.module, *self.trees.above(event.module)}
        calls = [call for module in over if (call := self.calls.get(module)) is not None]
        if any(not call.training for call in calls):
            return
        awake = tuple(module for module in reading.awake if module != event.module)
        known = {module for each in awake for module in self.trees.above(each)} - over
        if not known.isdisjoint(self.calls) or not known.issuperset(awake):
            return
        if awake and (event.drew or not set(event.statistics).isdisjoint(awake)):
            self.tell(event, awake)
