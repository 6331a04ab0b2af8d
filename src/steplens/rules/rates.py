"""Rates: the learning rates of one optimizer, as the rule on rates of zero follows them."""

from steplens.model.event import Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site

MARKS = 256  # backward passes, and lines
BELOW = "the learning rate has fallen below 0"  # such steps go up the loss


class Rates:
    """The learning rates of one optimizer: the largest so far, and how many steps had one."""

    __slots__ = ("peak", "live", "dead", "faint", "first", "jump", "below", "low", "valley")

    def __init__(self) -> None:
        self.peak = 0.0
        self.live = 0
        self.dead = 0  # steps at 0 in a row
        self.faint = 0  # steps at next to nothing in a row, those at 0 included
        self.first = 0
        self.jump = 0.0  # the rate to which it rose at once, after standing at 0
        self.low = 0.0  # the last rate with which steps moved anything
        self.valley = 0  # most steps in a row at next to nothing that were followed by others
        self.below = 0  # steps below 0 in a row: these go up the loss


class Beside:
    """Optimizers that may be at 0 on purpose: another one steps with a rate on the same backward
    passes, so that theirs is frozen as a group at 0 would be (``frozen``); or the line that made
    them makes others with a rate: several rates are tried (``tried``). Not those that a schedule
    has brought there."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        # backward, or line that makes optimizers -> those that stepped at 0, and with a rate
        self.known = Newest[int | Site, tuple[set[int], set[int]]](MARKS)
        self.frozen: set[int] = set()
        self.tried: set[int] = set()

    def step(self, event: Step, rate: float) -> set[int]:
        """A step at this rate; which optimizers are now known to be at 0 on purpose."""
        found: set[int] = set()
        if not rate and any(
            s.optimizer == event.optimizer for s in self.roster.schedulers.values()
        ):
            return found  # a schedule brought it there
        newest = max((share.holds[-1].backward for share in event.uses), default=None)
        for mark in (newest, self.roster.optimizers[event.optimizer].site):
            if mark is not None:
                if mark not in self.known:
                    self.known[mark] = set(), set()
                still, moving = self.known[mark]
                (moving if rate else still).add(event.optimizer)
                meant = {number for number in still if moving - {number}}
                (self.frozen if isinstance(mark, int) else self.tried).update(meant)
                found |= meant
        return found
