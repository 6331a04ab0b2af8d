"""Unreached: evaluations after an ``eval()`` that a class's own ``train`` kept to itself."""

from collections.abc import Callable

from steplens.model.event import Forward, Mode
from steplens.model.roster import ModeReading


class Unreached:
    """The newest ``eval()`` on each model that switched none of the modules in it; ``tell`` hears
    of a forward after it, with the modules in train mode."""

    def __init__(self, tell: Callable[[Forward, Mode, tuple[int, ...]], None]) -> None:
        self.tell = tell
        self.calls: dict[int, Mode] = {}

    def mode(self, event: Mode) -> None:
        """A call of ``train`` or ``eval``; one on a module inside may be the author's answer."""
        for module, call in list(self.calls.items()):
            if module == event.module or event.module in call.missed:
                del self.calls[module]
        if event.missed and not event.training:
            self.calls[event.module] = event

    def forward(self, event: Forward, reading: ModeReading) -> None:
        """A forward without grad, of a model with modules in train mode."""
        call = self.calls.get(event.module)
        if call is not None:
            awake = tuple(module for module in reading.awake if module in call.missed)
            if awake and (event.drew or not set(event.statistics).isdisjoint(awake)):
                self.tell(event, call, awake)
