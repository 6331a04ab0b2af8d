"""Repeats: how often each event counts for those that fold over events."""

from collections.abc import Sequence

from steplens.model.event import Event, Repeat


class Weighed:
    """A part of a fold; ``weight`` is how often the event it now hears has happened, ``running``
    how often with no step between; ``left_out`` is the index of the last event left out."""

    weight = 1
    running = 1
    left_out = -1


class Repeats:
    """Sets the weight of the parts of a fold: the events of the round that follows a Repeat count
    as often as it happened, all others once."""

    def __init__(self, parts: Sequence[Weighed]) -> None:
        self.parts = parts
        self.left = 0  # events of a repeated round still to come

    def begins(self, event: Event) -> bool:
        """Whether this is a Repeat, which is for nobody else to hear."""
        if not isinstance(event, Repeat):
            return False
        for part in self.parts:
            part.left_out = event.index
        times = event.times + 1
        self._weigh(times, 1 if event.steps else times, event.events)
        return True

    def heard(self) -> None:
        """One more event was heard."""
        if self.left:
            self.left -= 1
            if not self.left:
                self._weigh(1, 1, 0)

    def _weigh(self, weight: int, running: int, events: int) -> None:
        self.left = events
        for part in self.parts:
            part.weight, part.running = weight, running
