"""Cadence: when values may be read, so that reading them stays within the budget."""

from collections.abc import Callable
from math import inf
from time import perf_counter

import torch

from steplens.record.norms import near

FREE = 0.1  # seconds that looks at steps half as far again each time may cost beyond the share
PHASES = 8  # optimizers after which such looks begin anew
GRACE = 4  # looks at which one that was asked for may fall


class Allowance:
    """A share of the time that has passed, to be spent on readings that are paid for afterwards.

    A reading is due when what has been spent, and what one more would cost, is within the share.
    A share without end is never spent.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self.spent = 0.0
        self.one = 0.0  # what the latest reading cost
        self.before = 0.0  # what the one before it cost
        self.dearest = 0.0
        self.since = perf_counter()

    def due(self, now: float) -> bool:
        """Whether one more reading is within the share."""
        return self.share == inf or self.spent + self.one <= self.share * (now - self.since)

    def when(self) -> float:
        """The time from which one more reading is within the share."""
        if self.share <= 0:
            return inf
        return self.since + (self.spent + self.one) / self.share

    def usual(self) -> float:
        """What has been spent, and what one more would cost, but for a single hiccup: a collection
        of garbage or a pause of the machine falls into a reading now and then."""
        return self.spent - self.dearest + min(self.one, self.before)

    def spend(self, seconds: float) -> None:
        """A reading has cost this much."""
        self.spent += seconds
        self.before, self.one = self.one, seconds
        self.dearest = max(self.dearest, seconds)

    def settle(self, seconds: float) -> None:
        """The latest reading has cost this much, with all that came of it."""
        self.spent += max(0.0, seconds - self.one)
        self.one = max(self.one, seconds)
        self.dearest = max(self.dearest, self.one)

    def restart(self, now: float) -> None:
        """Nothing has been spent, from now on."""
        self.since, self.spent, self.dearest = now, 0.0, 0.0


class Cadence:
    """Values are read at every step of the window, and beyond it as often as the budget allows.

    ``step`` is advanced by the Recorder. Two allowances make up the budget: looks read everything
    that rules of values need, and let other probes read what they need; flags only tell whether
    gradients and loss are finite. ``looking`` and ``flagging`` hold for the whole of a step.

    A short run of fast steps would have no look beyond the window, and its second phase none at
    all: a tenth of a second in all is free for looks at steps 10, 16, 25, 38, 58, ..., and, after
    the first step of an optimizer beyond the window, at the 1st, 2nd, 4th, 7th, 11th, 17th, ...
    A probe that has to see a step some way off asks for a look there.
    """

    def __init__(
        self,
        window: int,
        budget: float = 0.01,
        window_over: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.window_over = window_over  # told when the step has come at which the window ends
        self.window = max(window, 10)
        self.step = 0
        self.looks = 0
        self.next = self.window  # step at which a look is free
        self.began = 0  # step from which the distances of those count
        self.phases = 0
        self.asked = inf  # step at which a look was asked for
        self.grace = 0
        self.looking = True
        self.flagging = True
        self.cost = 0.0  # of the look at the present step
        self.now = 0.0  # when the last step beyond the window ended
        self.look = Allowance(0.0)
        self.flag = Allowance(0.0)
        self.set_budget(budget)

    def set_budget(self, budget: float) -> None:
        """The share of the time between steps that readings may cost beyond the window.

        All of it, 1, is no bound at all: values are read at every step, however long that takes.
        """
        whole = inf if budget >= 1 else budget
        self.look.share, self.flag.share = whole * 0.6, whole * 0.4

    def advance(self) -> None:
        """One optimizer step has ended."""
        self.step += 1
        if self.looking:
            self.look.spend(self.cost)
        self.cost = 0.0
        if self.step < self.window:
            self.looks += 1
            return
        self.now = now = perf_counter()
        if self.step == self.window:  # the window's own cost is counted elsewhere
            self.window_over(now)
            self.look.restart(now)
            self.flag.restart(now)
        self.looking = self.look.due(now) or self._free()
        self.flagging = self.looking or self.flag.due(now)
        self.looks += self.looking

    def free_at(self) -> float:
        """The step from which a look is free, or was asked for."""
        look = self.look
        return min(self.asked, self.next if look.share and look.usual() <= FREE else inf)

    def ask(self, step: int) -> None:
        """A look is wanted at this step or, where another optimizer makes it, at one of the next
        few, whatever it costs; until it is ``answered``."""
        if self.look.share:
            self.asked, self.grace = min(self.asked, step), GRACE

    def answered(self) -> None:
        """The step was looked at."""
        if self.step >= self.asked:
            self.asked = inf

    def _free(self) -> bool:
        """Whether this step's look is one of the free ones."""
        if self.step < self.free_at():
            return False
        if self.step >= self.asked:
            self.grace -= 1
            if not self.grace:
                self.asked = inf
            return True
        self.next = self.step + 1 + (self.step - self.began) // 2
        return True

    def phase(self) -> None:
        """An optimizer takes its first step: what it trains is to be looked at, too."""
        if self.step >= self.window and self.phases < PHASES:
            self.phases += 1
            self.began = self.next = self.step + 1

    def may_read(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor may be read now: at a look, or where that waits for no device."""
        return self.looking or near(tensor)

    def may_look(self) -> bool:
        """``looking``, as a call."""
        return self.looking

    def spend(self, seconds: float) -> None:
        """A reading at the present step has cost this much."""
        if self.looking:
            self.cost += seconds
        else:
            self.flag.spend(seconds)
