"""Timeline: the Events of one run, in order, within a bound."""

import msgspec

from steplens.model.event import TAGS, Event, Repeat

HEAD = 4000  # events kept from the beginning
TAIL = 400  # and from the end
AROUND = 60  # up to a moment worth keeping
MIDDLE = 1200  # of such moments in all


class Timeline(msgspec.Struct):
    """The kept Events, and how many of each kind there were.

    The first ``HEAD`` events and the last ``TAIL`` are kept in full, and between them those up to
    the moments at which something was found (``middle``); ``counts`` is exact however many were
    dropped. A Repeat among them stands for events that were counted and not made: they are in
    ``counts``, it is not.
    """

    head: list[Event] = []
    tail: list[Event] = []
    counts: dict[str, int] = {}
    last_index: int = -1
    middle: list[Event] = []

    def append(self, event: Event) -> None:
        """Count the event and keep it within the bound."""
        if isinstance(event, Repeat):
            for name, count in event.counts.items():
                self.counts[name] = self.counts.get(name, 0) + count * event.times
        else:
            name = TAGS[type(event)]
            self.counts[name] = self.counts.get(name, 0) + 1
        self.last_index = event.index
        if len(self.head) < HEAD:
            self.head.append(event)
        else:
            self.tail.append(event)
            if len(self.tail) >= 2 * TAIL:
                del self.tail[:TAIL]

    def keep(self) -> None:
        """Keep the events up to now, whatever comes later, within the bound."""
        known = self.middle[-1].index if self.middle else -1
        new = [event for event in self.tail[-AROUND:] if event.index > known]
        self.middle += new[: MIDDLE - len(self.middle)]

    @property
    def events(self) -> list[Event]:
        """The kept events in order."""
        last = self.tail[-TAIL:]
        if not self.middle or not last:
            return self.head + last
        return [*self.head, *(e for e in self.middle if e.index < last[0].index), *last]

    @property
    def dropped(self) -> int:
        """How many events were seen and not kept."""
        kept = sum(not isinstance(event, Repeat) for event in self.events)
        return sum(self.counts.values()) - kept
