"""Lens: watching a block of one's own code, ``with steplens.watch(...) as lens``."""

import sys
from types import FrameType, TracebackType
from typing import Any

from steplens.check.reporting import Report
from steplens.check.session import Session
from steplens.config import Config
from steplens.model.finding import Finding, at_least
from steplens.views import VIEWS, Look


class Lens:
    """What a watched block said. Inside the block ``findings`` are those so far; after it
    ``report`` is whole.

    A Lens is used once; several may be nested. An exception in the block goes on its way, and the
    report says so.
    """

    def __init__(self, session: Session, objects: tuple[Any, ...]) -> None:
        self.session = session
        self.objects = objects

    def __enter__(self) -> "Lens":
        self.session.start(_caller(), self.objects)
        self.objects = ()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.session.stop("failed" if error is not None else "done", error)

    @property
    def findings(self) -> list[Finding]:
        """The findings so far, suppressed ones left out."""
        return self.session.current().findings

    @property
    def report(self) -> Report:
        """The Report, up to now."""
        return self.session.current()

    def at_least(self, severity: str) -> list[Finding]:
        """The findings so far of this severity or above."""
        return at_least(self.findings, severity)

    def told(self) -> str:
        """The findings so far in full, without the account."""
        return VIEWS["full"](self.report, Look(brief=True)).strip()

    def assert_clean(self, at_least: str = "warning") -> None:
        """Raise AssertionError with the text view if there is a finding of this severity or
        above."""
        if self.at_least(at_least):
            raise AssertionError("\n" + self.report.text("full"))


def watch(
    *objects: Any,
    lines: int = 10,
    select: tuple[str, ...] = ("ALL",),
    ignore: tuple[str, ...] = (),
    search: bool = True,
) -> Lens:
    """Watch the block that follows.

    ``objects`` (models, optimizers) are optional: what takes part is found. ``lines`` is the number
    of steps kept line by line, ``select`` and ``ignore`` name rules as on the command line. With
    ``search=False`` only the given objects and what is made in the block take part, not what else
    is alive. Nothing is written to disk unless ``lens.report.save`` is called.
    """
    config = Config(lines=lines, select=tuple(select), ignore=tuple(ignore), folder="")
    session = Session(config, program=_caller().f_code.co_filename)
    session.search = search
    return Lens(session, objects)


def _caller() -> FrameType:
    """The frame that called the function that asks."""
    return sys._getframe(2)
