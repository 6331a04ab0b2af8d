"""Rates: the learning rates of one optimizer, as the rule on rates of zero follows them."""

BELOW = "the learning rate has fallen below 0"  # such steps go up the loss


class Rates:
    """The learning rates of one optimizer: the largest so far, and how many steps had one."""

    __slots__ = ("peak", "live", "dead", "faint", "first", "jump", "below", "low")

    def __init__(self) -> None:
        self.peak = 0.0
        self.live = 0
        self.dead = 0  # steps at 0 in a row
        self.faint = 0  # steps at next to nothing in a row, those at 0 included
        self.first = 0
        self.jump = 0.0  # the rate to which it rose at once, after standing at 0
        self.low = 0.0  # the last rate with which steps moved anything
        self.below = 0  # steps below 0 in a row: these go up the loss
