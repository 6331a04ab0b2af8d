"""Fits: a trainer's fit, watched by a callback of ours: its stages named, its end asked for."""

import sys
from typing import Any

from steplens.check import hosting
from steplens.check.reporting import Report
from steplens.check.session import Session, running
from steplens.config import SEVERITIES
from steplens.errors import BadSetting
from steplens.model.finding import at_least


class Fit:
    """What a trainer's callback does.

    Under ``steplens run`` (or in a ``watch`` block) it speaks to the Session that is running; else
    it begins one with the fit, and prints the findings at its end. ``stop_on`` is the severity from
    which a finding is to end the fit, None for never.
    """

    def __init__(self, stop_on: str | None) -> None:
        if stop_on is not None and stop_on not in SEVERITIES:
            raise BadSetting(f"stop_on is {stop_on!r}; accepted are {', '.join(SEVERITIES)}, None")
        self.stop_on = stop_on
        self.session: Session | None = None
        self.own = False
        self.stage = ""
        self.report: Report | None = None

    def begin(self, program: str, *objects: Any) -> None:
        """The fit begins; ``objects`` are its models."""
        self.session, self.own = running(), False
        if self.session is None:
            self.session, self.own = hosting.guest(program, {}), True
            self.session.start(None, objects)

    def name(self, stage: str, epoch: float | None = None) -> None:
        """Name the place in the fit, where it is another than before."""
        said = stage if epoch is None else f"epoch {int(epoch) + 1}, {stage}"
        if self.session is not None and said != self.stage:
            self.stage = said
            self.session.mark(said)

    def spoilt(self) -> str:
        """Why the fit is to end now: the first finding that is severe enough, or ''."""
        if self.stop_on is None or self.session is None or not self.session.bench.opened:
            return ""
        loud = at_least(self.session.current().findings, self.stop_on)
        return f"{loud[0].code} {loud[0].name}: {loud[0].message}" if loud else ""

    def end(self) -> None:
        """The fit is over: print what was found, if nobody else does."""
        session, self.session = self.session, None
        if session is None:
            return
        if not self.own:
            self.report = session.current()
            return
        self.report = session.stop()
        if self.report.findings:
            sys.stdout.write(self.report.text("full"))

    def __getstate__(self) -> dict[str, Any]:
        """Without the Session, so that the trainer's objects can be copied and saved."""
        return {**vars(self), "session": None, "report": None}
