"""Timeline: the Events of one run, in order, within a bound."""

import msgspec

from steplens.model.event import TAGS, Event

HEAD = 4000  # events kept from the beginning
TAIL = 400  # and from the end


class Timeline(msgspec.Struct):
    """The kept Events, and how many of each kind there were.

    The first ``HEAD`` events and the last ``TAIL`` are kept in full; ``counts`` is exact however
    many were dropped.
    """

    head: list[Event] = []
    tail: list[Event] = []
    counts: dict[str, int] = {}
    last_index: int = -1

    def append(self, event: Event) -> None:
        """Count the event and keep it within the bound."""
        name = TAGS[type(event)]
        self.counts[name] = self.counts.get(name, 0) + 1
        self.last_index = event.index
        if len(self.head) < HEAD:
            self.head.append(event)
        else:
            self.tail.append(event)
            if len(self.tail) >= 2 * TAIL:
                del self.tail[:TAIL]

    @property
    def events(self) -> list[Event]:
        """The kept events in order."""
        return self.head + self.tail[-TAIL:]

    @property
    def dropped(self) -> int:
        """How many events were seen and not kept."""
        return sum(self.counts.values()) - len(self.events)
