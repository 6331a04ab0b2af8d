"""The concise view: one line per finding."""

from steplens.model.finding import Finding
from steplens.model.report import Report
from steplens.views.paint import PLAIN, Look, Row, paint
from steplens.views.speech import Speech
from steplens.views.summary import closing


def render(report: Report, look: Look = PLAIN) -> str:
    """A line per finding, in the order of their first step, then the closing lines."""
    last = closing(report, Speech(look.lang))
    return paint([*(_row(finding) for finding in report.findings), *last], look)


def _row(finding: Finding) -> Row:
    place = f"{finding.at.place}:{finding.at.column}: " if finding.at else ""
    severity = finding.severity.value
    return [
        (place, "plain"),
        (f"{severity}[{finding.code} {finding.name}]", severity),
        (f" {finding.message}", "plain"),
    ]
