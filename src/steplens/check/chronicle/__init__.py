"""The fold that hears every Event of a run and holds the facts of its account."""

from collections.abc import Callable, Iterable
from typing import Any

from steplens.check.chronicle.cycles import Cycles
from steplens.check.chronicle.fates import Fates
from steplens.check.chronicle.losses import Losses
from steplens.check.chronicle.phases import Phases
from steplens.errors import described
from steplens.model.chronicle import Chronicle
from steplens.model.event import Event, kind
from steplens.model.finding import Finding
from steplens.model.repeats import Repeats
from steplens.model.roster import Roster


class Chronicler:
    """Hears Events, exact over the whole run and bounded in memory; says its Chronicle at any time.

    A fault in it is kept in ``fault`` and ends it: the account is then that of the events before.
    """

    def __init__(self, roster: Roster) -> None:
        self.fates = Fates(roster)
        self.cycles = Cycles(roster)
        self.phases = Phases(roster)
        self.losses = Losses()
        self.fault = ""
        self.hearers: dict[str, list[Callable[[Any], None]]] = {}
        parts = (self.fates, self.cycles, self.phases, self.losses)
        self.repeats = Repeats(parts)
        for part in parts:
            for name in part.HEARS:
                self.hearers.setdefault(name, []).append(getattr(part, name))

    def hear(self, event: Event) -> None:
        """One Event, in order; those of a repeated round count as often as it happened."""
        if self.repeats.begins(event):
            return
        try:
            for hearer in self.hearers.get(kind(event), ()):
                hearer(event)
        except Exception as error:  # a fault of ours never ends the user's run
            self.fault = f"account: {described(error)} at event {event.index}"
            self.hearers.clear()
        self.repeats.heard()

    def chronicle(self, findings: Iterable[Finding]) -> Chronicle:
        """The facts so far; ``findings`` give the codes of the rules that say so."""
        fates = self.fates
        return Chronicle(
            fates=fates.told(findings),
            cycles=self.cycles.told(),
            modes=self.phases.told(),
            losses=list(self.losses.lines.values()),
            sizes=fates.sizes(),
            sized_at={n: c.sized.step for n, c in fates.courses.items() if c.sized is not None},
            steps={n: course.steps for n, course in fates.courses.items()},
            backwards=self.losses.backwards,
            looks=sum(course.looks for course in fates.courses.values()),
            skipped=sum(course.skipped for course in fates.courses.values()),
        )
