"""Lull: how long a program has only run its models, and trained none, while its lines are
followed."""

from threading import get_ident
from time import perf_counter

from steplens.record.stopwatch import CLOCK

FORWARDS = 32  # without gradient recording, one after the other
SECONDS = 0.5  # of our own work since they began
SHARE = 0.2  # of the time since then that this work must have taken


class Lull:
    """Before anything trains, or between two steps, self-play, a rollout or the making of features
    may go on for hours, and no step would end the window. Once following such lines has cost
    enough, they are followed no longer (``resting``) until there is a sign of training: a model or
    an optimizer is made, or a forward records a graph. While a gradient is made that no step has
    used yet, every line is followed.
    """

    def __init__(self) -> None:
        self.resting = False
        self.over = False  # a gradient is made: what each line leaves in it counts
        self.forwards = 0  # since the last sign
        self.began = self.since = 0.0  # our own work, and the time, when the first of them began
        self.rested = 0.0  # what our own work had come to when the rest began
        self.thread = 0  # whose lines are followed

    def begin(self) -> None:
        """The window opens."""
        self.resting, self.forwards = False, 0
        self.thread = get_ident()

    def sign(self) -> None:
        """The program prepares to train."""
        self.forwards = 0

    def stepped(self) -> None:
        """A step has used the gradients."""
        self.over, self.forwards = False, 0

    def forward(self) -> None:
        """A forward begins that records no graph."""
        if not self.forwards:
            self.began, self.since = CLOCK.seconds, perf_counter()
        self.forwards += 1

    def due(self) -> bool:
        """Whether the lines of the window are to be followed no longer, for now."""
        if self.over or self.forwards < FORWARDS:
            return False
        spent = CLOCK.seconds - self.began
        return spent > SECONDS and spent > SHARE * (perf_counter() - self.since)

    def rest(self) -> None:
        """They are followed no longer."""
        self.resting, self.rested = True, CLOCK.now()

    def wake(self) -> float:
        """They are followed again; what our own work has taken meanwhile."""
        self.resting, self.forwards = False, 0
        return CLOCK.now() - self.rested
