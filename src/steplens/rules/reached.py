"""Reached: forwards that a rule has its eye on, and the backward passes that go through them."""

from typing import Generic, TypeVar

from steplens.model.event import Backward
from steplens.model.newest import Newest

What = TypeVar("What")


class Reached(Generic[What]):
    """The newest ``most`` of these forwards and of the backward passes that reached one, with what
    the rule knows of it."""

    def __init__(self, most: int) -> None:
        self.forwards = Newest[int, What](most)
        self.passes = Newest[int, What](most)

    def forward(self, index: int, what: What) -> None:
        """A forward of this index is one of them."""
        self.forwards[index] = what

    def backward(self, event: Backward) -> None:
        """Follow a backward pass to the first of them that it reaches."""
        for index in event.forwards if self.forwards else ():
            if index in self.forwards:
                self.passes[event.index] = self.forwards[index]
                return
