"""Falls: how many steps a scheduler had made when the rate that it gives had come down to a
hundredth; noted at each step, so that it is exact where rounds are counted."""

from collections.abc import Sequence

FALL = 1.01e-2  # of the highest rate: two cuts to a tenth, and their rounding
RISE = 2  # times the lowest rate: the schedule goes up again, as cycles and restarts do


class Falls:
    """The lowest and the highest rate of each scheduler, and when it had fallen; -1: it rose."""

    def __init__(self) -> None:
        self.known: dict[int, tuple[float, float, int]] = {}

    def stepped(self, scheduler: int, count: int, rates: Sequence[float]) -> int:
        """A scheduler has made its step number ``count`` and left these rates."""
        if not rates:
            return 0
        rate = max(rates)
        low, high, fallen = self.known.get(scheduler, (rate, rate, 0))
        low, high = min(low, rate), max(high, rate)
        if rate > RISE * low:
            fallen = -1
        elif not fallen and rate <= FALL * high:
            fallen = count
        self.known[scheduler] = low, high, fallen
        return fallen
