"""Report: findings, timeline, and what was and was not looked at. The only input of every view."""

import msgspec

from steplens.model.chronicle import Chronicle
from steplens.model.course import Course
from steplens.model.finding import Finding
from steplens.model.ranks import Ranks
from steplens.model.roster import Roster
from steplens.model.timeline import Timeline
from steplens.model.trail import Trail

FORMAT = 1


class RulesRan(msgspec.Struct):
    """Codes of the rules that ran with something to look at, and of those that had nothing."""

    ran: tuple[str, ...] = ()
    nothing_to_look_at: tuple[str, ...] = ()


class Window(msgspec.Struct):
    """The line-by-line detail: steps asked for, steps kept, and why it ended (steps, cost,
    debugger, capture, off, end, rest: nothing trained any more); whether it ``rested`` for a time
    in which nothing trained."""

    asked: int = 0
    kept: int = 0
    ended: str = "off"
    rested: bool = False

    @property
    def reason(self) -> str:
        """Why it ended, with one more word: passes, where the first step took so many that each
        further one counted as a step does."""
        return "passes" if self.ended == "steps" and self.kept < self.asked else self.ended


class Cost(msgspec.Struct):
    """What watching cost: seconds in steplens and seconds in all, within the detail window and
    beyond it; measured in steplens's own work, bare wrappers and comparisons left out."""

    window: float = 0.0
    window_total: float = 0.0
    beyond: float = 0.0
    beyond_total: float = 0.0


class Report(msgspec.Struct):
    """Everything one watched run said. ``steps`` counts optimizer steps; ``complete`` is False in a
    file left by a killed process.

    ``sources`` holds the text of the user's files that findings and lines point into (empty with
    ``--no-source``), keyed by ``Site.file`` or ``file[cell]``. ``faults`` are faults of steplens
    itself. ``not_seen`` names regions it could not watch. ``trail`` and ``course`` are empty in the
    files of older versions.
    """

    format: int = FORMAT
    steplens: str = ""
    torch: str = ""
    python: str = ""
    program: str = ""
    started: str = ""
    steps: int = 0
    complete: bool = False
    status: str = ""
    ranks: Ranks = Ranks()
    findings: list[Finding] = []
    suppressed: list[Finding] = []
    rules: RulesRan = msgspec.field(default_factory=RulesRan)
    faults: list[str] = []
    not_seen: list[str] = []
    window: Window = msgspec.field(default_factory=Window)
    cost: Cost = msgspec.field(default_factory=Cost)
    roster: Roster = msgspec.field(default_factory=Roster)
    timeline: Timeline = msgspec.field(default_factory=Timeline)
    account: Chronicle = msgspec.field(default_factory=Chronicle)
    sources: dict[str, str] = {}
    trail: Trail = msgspec.field(default_factory=Trail)
    course: Course = msgspec.field(default_factory=Course)
