"""Tally: how often each tensor was named, counted by whole groups of them."""

MOST = 32  # different groups kept before they are counted tensor by tensor


class Tally:
    """Counts tuples of tensors as they are; the steady state is one comparison."""

    __slots__ = ("latest", "times", "groups", "sums")

    def __init__(self) -> None:
        self.latest: tuple[int, ...] = ()
        self.times = 0
        self.groups: dict[tuple[int, ...], int] = {}
        self.sums: dict[int, int] = {}

    def add(self, tensors: tuple[int, ...], times: int = 1) -> None:
        """Count each of these so many times more."""
        if tensors == self.latest:
            self.times += times
            return
        self._put_away()
        self.latest, self.times = tensors, times

    def _put_away(self) -> None:
        if self.times:
            self.groups[self.latest] = self.groups.get(self.latest, 0) + self.times
            self.times = 0
        if len(self.groups) > MOST:
            self._spread(self.sums)
            self.groups.clear()

    def _spread(self, sums: dict[int, int]) -> None:
        for tensors, times in self.groups.items():
            for tensor in tensors:
                sums[tensor] = sums.get(tensor, 0) + times

    def told(self) -> dict[int, int]:
        """The counts by tensor."""
        self._put_away()
        self.latest = ()
        sums = dict(self.sums)
        self._spread(sums)
        return sums
