"""Timed: steps repeated after one backward pass, and whether it is to time them or by mistake."""

from steplens.model.event import Step

GROUPS = 3  # backward passes, each followed by a few steps at one line
FEW = 16  # steps in a group that a loop around them may have been meant to repeat as a whole
ROW = 3  # steps running at one line, which is then being timed


class Timed:
    """The steps of one optimizer with the gradients of its newest backward pass.

    ``old`` counts those but for the first, ``row`` the newest of them running at one line,
    ``short`` the backward passes before this one that a few such steps followed.
    """

    __slots__ = ("newest", "old", "row", "on", "short", "clocked")

    def __init__(self) -> None:
        self.newest: int = -1
        self.old = 0
        self.row = 1
        self.on = False  # a line has been repeated in this group
        self.short = 0
        self.clocked = False  # a loop of these steps stands between two readings of the clock

    def step(self, event: Step, last: Step | None) -> bool:
        """Count a step with gradients that an earlier one used; whether such a step was being
        timed before this one: then a step at another line is no second step by mistake."""
        newest = max(share.holds[-1].backward for share in event.uses)
        if newest != self.newest:
            self.short += 0 < self.old <= FEW
            self.newest = newest
            self.old, self.row, self.on = 0, 1, False
        self.clocked |= event.clocked
        before = self.on
        self.old += 1
        self.row = self.row + 1 if last is not None and last.site == event.site else 1
        self.on = before or self.row >= ROW
        return before or self.clocked

    def in_groups(self) -> bool:
        """Whether backward pass after backward pass is followed by a few steps: a loop that was to
        repeat the forward and the backward, too. Whoever times steps makes many, or does so
        once."""
        return self.short + 1 >= GROUPS and self.old <= FEW and not self.clocked
