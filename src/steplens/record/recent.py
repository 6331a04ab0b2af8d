"""Recent: the recent forwards of each thread, and the graph nodes each made."""

import threading
from collections import deque
from collections.abc import Iterator
from threading import get_ident
from typing import Any

from torch.autograd import _get_sequence_nr as sequence_now  # type: ignore[attr-defined]

from steplens.model.site import Site
from steplens.record.graph import Walk

FORWARDS_KEPT = 512  # forwards whose graph a later backward may reach
COUNTED_KEPT = 64  # of those that are counted, whose outputs another may be given


class Numbers(threading.local):
    """The recent forwards of a thread, as torch counts graph nodes for each thread
    (``aten/src/ATen/SequenceNumber.cpp``): (start, end, Forward event)."""

    def __init__(self) -> None:
        self.recent: deque[tuple[int, int, int]] = deque(maxlen=FORWARDS_KEPT)


def newest_first(found: deque[Any]) -> Iterator[Any]:
    """A copy, newest first, as another thread may add to it meanwhile. While ``copy`` works nothing
    is made that could start a collection of garbage, and with it another thread, as in ``tuple``.
    """
    return reversed(found.copy())


class Recent:
    """Which sequence numbers the recent forwards made.

    A thread's own are looked at first. A graph that another thread made is known by numbers that
    this thread has not come to.
    """

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.all: deque[tuple[int, int, int, int]] = deque(maxlen=FORWARDS_KEPT)  # and the thread
        self.counted: deque[tuple[int, int, int]] = deque(maxlen=COUNTED_KEPT)  # not yet in these
        self.home = get_ident()
        self.several = False  # whether other threads than the first run forwards
        self.sites: dict[int, Site | None] = {}  # Forward event -> its line, for the recent ones

    @property
    def recent(self) -> deque[tuple[int, int, int]]:
        """This thread's recent forwards."""
        return self.numbers.recent

    def reached(self, walk: Walk) -> tuple[int, ...]:
        """The Forward events in which nodes of this graph were made, oldest first."""
        numbers = walk.sequence()
        if not numbers:
            return ()
        lowest = numbers[0]
        found: list[int] = []
        for start, end, event in newest_first(self.recent):
            if end <= lowest:  # numbers only grow: nothing older can be reached
                break
            if walk.reaches(start, end):
                found.append(event)
        if self.several:
            found += [e for start, end, e in self._elsewhere() if walk.reaches(start, end)]
            found.sort(reverse=True)
        return tuple(reversed(found))

    def of(self, number: int) -> int:
        """The Forward event in which the node of this sequence number was made, -1 for none."""
        for start, end, event in newest_first(self.counted) if self.counted else ():
            if start <= number < end:
                return event
        recent = self.recent
        newer = recent and recent[-1][1] <= number  # numbers only grow
        for start, end, event in newest_first(recent) if not newer else ():
            if start <= number < end:
                return event
            if end <= number:
                break
        others = self._elsewhere() if self.several else ()
        return next((event for start, end, event in others if start <= number < end), -1)

    def ran(
        self,
        start: int,
        end: int,
        event: int,
        site: Site | None,
        recent: deque[tuple[int, int, int]] | None = None,
        thread: int = 0,
    ) -> None:
        """A forward of this thread, or of the one whose ``recent`` forwards are given, made the
        nodes between two sequence numbers."""
        recent = self.recent if recent is None else recent
        if len(recent) == FORWARDS_KEPT:
            self.sites.pop(recent[0][2], None)
        elif len(self.sites) > 2 * FORWARDS_KEPT:  # of threads that have ended
            del self.sites[next(iter(self.sites))]
        recent.append((start, end, event))
        self.sites[event] = site
        thread = thread or get_ident()
        self.several |= thread != self.home
        self.all.append((start, end, event, thread))

    def _elsewhere(self) -> list[tuple[int, int, int]]:
        """The forwards of other threads, newest first, with numbers that this one has not come
        to."""
        now, here = sequence_now(), get_ident()
        return [each[:3] for each in newest_first(self.all) if each[3] != here and each[0] >= now]
