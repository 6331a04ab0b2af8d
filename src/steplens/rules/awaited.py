"""Awaited: training forwards whose backward may still come."""

from steplens.model.event import Backward, Forward, GradCall
from steplens.model.newest import Newest
from steplens.model.roster import Roster

KEPT = 32


class Awaited:
    """The newest forwards in train mode with a graph that no backward has reached."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.forwards = Newest[int, Forward](KEPT)

    def forward(self, event: Forward) -> None:
        """A forward: of interest if it made a graph in train mode."""
        if event.recorded and event.training:
            self.forwards[event.index] = event

    def backward(self, event: Backward | GradCall) -> None:
        """What this reaches is awaited no longer."""
        for forward in event.forwards:
            self.forwards.pop(forward, None)

    def __contains__(self, forward: Forward) -> bool:
        """Whether a forward is still awaited."""
        return forward.index in self.forwards

    def of(self, optimizer: int, since: int) -> Forward | None:
        """The newest through this optimizer's tensors after the event ``since``, None for none."""
        recent = [event for index, event in self.forwards.items() if index > since]
        if not recent:
            return None
        tensors = self.roster.optimizers[optimizer].tensors
        roots = {self.roster.tensors[tensor].root for tensor in tensors} - {-1}
        for event in reversed(recent):
            if self.roster.modules[event.module].root in roots:
                return event
        return None

    def behind(self, forward: Forward) -> Forward:
        """The newest that was given what this one made, by way of others too; itself if none
        was."""
        made, newest = {forward.index}, forward
        for index, event in self.forwards.items():
            if not made.isdisjoint(event.fed_by):
                made.add(index)
                newest = event
        return newest
