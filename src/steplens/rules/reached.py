"""Reached: forwards that a rule has its eye on, and the backward passes that go through them."""

from typing import Generic, TypeVar

from steplens.model.event import Backward

What = TypeVar("What")


class Reached(Generic[What]):
    """The newest ``most`` of these forwards and of the backward passes that reached one, with what
    the rule knows of it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.forwards: dict[int, What] = {}
        self.passes: dict[int, What] = {}

    def forward(self, index: int, what: What) -> None:
        """A forward of this index is one of them."""
        _keep(self.forwards, index, what, self.most)

    def backward(self, event: Backward) -> None:
        """Follow a backward pass to the first of them that it reaches."""
        for index in event.forwards if self.forwards else ():
            if index in self.forwards:
                _keep(self.passes, event.index, self.forwards[index], self.most)
                return


def _keep(table: dict[int, What], index: int, what: What, most: int) -> None:
    table[index] = what
    if len(table) > most:
        del table[next(iter(table))]
