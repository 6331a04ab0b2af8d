"""Ranks: what is shown of several processes that trained together, each with a Report of its
own."""

from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from steplens.check import turn
from steplens.errors import BadReport
from steplens.model import codec
from steplens.model.finding import Evidence, Finding
from steplens.model.report import Report

PATIENCE = 10.0  # seconds that a rank with findings waits for the first rank's Report


def gathered(report: Report, launch: str, folder: str) -> Report:
    """What a program shows that started its ranks itself: the first rank's Report, and what only
    others found."""
    ranks = _reports(folder, launch)
    if not ranks:
        return report
    first = report if report.steps else ranks.pop(0)
    return replace(first, findings=[*first.findings, *_only(ranks, first)])


def apart(report: Report, folder: str) -> Report | None:
    """What a rank after the first shows: what it found and the first did not, None for nothing.

    Waits for the first rank's Report, when there is something to compare with it.
    """
    if not report.findings:
        return None
    first = _first(folder, report.ranks.launch) if report.ranks.launch else None
    found = _only([report], first)
    return replace(report, findings=found) if found else None


def _first(folder: str, launch: str) -> Report | None:
    turn.wait(folder, launch, PATIENCE)
    found = _reports(folder, launch, "*-rank0*.json")
    return found[0] if found and found[0].complete else None


def _reports(folder: str, launch: str, pattern: str = "*-rank*.json") -> list[Report]:
    """The saved Reports of one launch, by rank."""
    found: list[Report] = []
    for path in Path(folder).glob(pattern):
        try:
            report = codec.read(path)
        except BadReport:
            continue
        if report.ranks.launch == launch:
            found.append(report)
    return sorted(found, key=lambda report: report.ranks.rank)


def _only(reports: Iterable[Report], first: Report | None) -> list[Finding]:
    """The findings of these ranks that the first does not have, each with its rank."""
    known = {_cause(finding) for finding in first.findings} if first is not None else set()
    found: list[Finding] = []
    for report in reports:
        for finding in report.findings:
            if _cause(finding) not in known:
                known.add(_cause(finding))
                rank = Evidence("rank", str(report.ranks.rank), "the same on all ranks")
                found.append(replace(finding, evidence=(*finding.evidence, rank)))
    return found


def _cause(finding: Finding) -> object:
    at = finding.at
    return finding.code, at and (at.file, at.cell, at.line), finding.message if at is None else ""
