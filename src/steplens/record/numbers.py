"""Numbers: what Events call things by, given again when things die by the thousand."""

from collections import deque
from collections.abc import Hashable

KEPT = 32  # dead things of one kind, made at one line, that keep a number of their own


class Numbers:
    """Hands out numbers, counted from 0.

    Things of one ``key`` (made at one line, alike) that come and go, such as the model of each task
    in meta-learning, share numbers: once ``KEPT`` of them have died, a new one gets the number of
    the one that has been dead the longest. So the Roster, and whatever is kept by number, stays
    within a bound however long the program runs.
    """

    def __init__(self) -> None:
        self.next = 0
        self.keys: dict[int, Hashable] = {}
        self.dead: dict[Hashable, deque[int]] = {}

    def take(self, key: Hashable) -> tuple[int, bool]:
        """A number for a new thing, and whether another one bore it before."""
        waiting = self.dead.get(key)
        again = waiting is not None and len(waiting) >= KEPT
        if again and waiting is not None:
            number = waiting.popleft()
        else:
            number, self.next = self.next, self.next + 1
        self.keys[number] = key
        return number, again

    def give_back(self, number: int) -> None:
        """The thing of this number has died."""
        if number in self.keys:
            self.dead.setdefault(self.keys.pop(number), deque()).append(number)
