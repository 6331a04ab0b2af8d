"""Cells: what each cell of a running notebook did to the training state."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from steplens.check import hosting
from steplens.check.reporting import pages_of
from steplens.model.finding import Finding
from steplens.model.report import Report
from steplens.views import timeline
from steplens.views.paint import Look, Row, plain
from steplens.views.speech import Speech
from steplens.views.text import finding_rows

BOOK = "In"  # the file of a cell's Sites: In[3]:2
COUNTED = ("forward", "backward", "step", "clear")
TIMED = "<timed exec>"  # the name under which %%time compiles


class Cells:
    """One Session over the cells of a kernel. ``show`` is given the rows of each finding as it
    happens.

    Lines are followed for the first steps of each cell. Nothing of the user's is held: a model that
    a cell makes anew dies as it would have.
    """

    def __init__(self, show: Callable[[list[Row]], None]) -> None:
        self.show = show
        self.session = hosting.guest("notebook", {}, search=True)
        self.speech = Speech(self.session.config.lang)
        self.session.listeners.append(self._at_step)
        self.session.start()
        self.number, self.source = 0, ""
        self.first = 0  # index of the cell's first event
        self.counts: Counter[str] = Counter()
        self.told: set[object] = set()
        self.seen = 0

    def begin(self, source: str) -> None:
        """A cell with this text is about to run."""
        self.source = source
        recorder = self.session.recorder
        self.first = recorder.next_index if recorder is not None else 0
        self.counts = Counter(self.session.report.timeline.counts)
        if recorder is not None:
            recorder.look_anew(self.session.config.lines)

    def named(self, filename: str, number: int) -> None:
        """The running cell bears this number, and is compiled under this name."""
        if not number:  # not a cell, but code that a magic compiles
            return
        self.number = number
        for name in (filename, TIMED):
            self.session.cell(name, BOOK, number, self.source)

    def end(self, error: BaseException | None) -> list[Row]:
        """The cell has run: what it did, and what was found by its end."""
        session = self.session
        if session.recorder is None:
            return []
        if error is not None:
            session.raised(error)
        session.recorder.detail.finish("end")
        report = session.current()
        events = [e for e in report.timeline.events if e.index >= self.first]
        rows = timeline.part(report, events, self.speech)
        if rows:
            rows = [[(f"In [{self.number}]", "strong"), (f": {self._did(report)}", "plain")], *rows]
        return rows + self._news(report)

    def timeline(self) -> list[Row]:
        """The timeline of all cells so far."""
        return timeline.rows(self.session.current(), self.speech)

    def stop(self) -> list[Row]:
        """Watch no longer; the findings that only the end shows."""
        return self._news(self.session.stop())

    def _did(self, report: Report) -> str:
        say, done = self.speech.say, Counter(report.timeline.counts) - self.counts
        said = [say(f"did.{kind}", n=done[kind]) for kind in COUNTED if done[kind]]
        return say("comma").join(said) or say("did.nothing")

    def _at_step(self, _: int, findings: list[Finding]) -> None:
        """An optimizer step ended: show what is new at once, in the middle of the cell."""
        if len(findings) > self.seen:
            self.seen = len(findings)
            self.show(self._news(self.session.current()))

    def _news(self, report: Report) -> list[Row]:
        rows: list[Row] = []
        for finding in report.findings:
            cause: Any = (finding.code, finding.at, finding.event)
            if cause not in self.told:
                self.told.add(cause)
                look = Look(pages=pages_of(report, self.speech.lang), lang=self.speech.lang)
                rows += [*finding_rows(finding, report, look), *plain("")]
        return rows[:-1]
