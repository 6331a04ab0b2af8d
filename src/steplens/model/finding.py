"""Finding: one proven place, with its Evidence."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from steplens.model.site import Site


class Severity(StrEnum):
    """How sure a Finding is that the author meant something else."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for a note, 1 for a warning, 2 for an error."""
        return {"note": 0, "warning": 1, "error": 2}[self.value]


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """One measured fact: what was looked at, what was seen, what was expected ('' if nothing)."""

    subject: str
    got: str
    expected: str = ""


class Because(msgspec.Struct, frozen=True, gc=False):
    """A second place that explains the first."""

    label: str
    at: Site


class Finding(msgspec.Struct, frozen=True, gc=False):
    """One cause, however many steps it touched.

    ``message`` states the fact and stands alone, ``label`` is the short text under the caret at
    ``at``, ``help`` states the change to make. ``first_step``, ``last_step`` and ``count`` are
    numbers of optimizer steps (1 is the first); ``consequences`` holds the codes of findings
    that this one explains, ``tensors`` the parameters it is about, by number.
    """

    code: str
    name: str
    severity: Severity
    message: str
    at: Site | None
    label: str = ""
    because: tuple[Because, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    help: str = ""
    claims: tuple[str, ...] = ()
    first_step: int = 0
    last_step: int = 0
    count: int = 1
    event: int = -1
    consequences: tuple[str, ...] = ()
    tensors: tuple[int, ...] = ()


def at_least(findings: Iterable[Finding], severity: str) -> list[Finding]:
    """Those of this severity or above, in their order."""
    bar = Severity(severity).rank
    return [finding for finding in findings if finding.severity.rank >= bar]
