"""The github view: workflow commands that GitHub shows beside the changed lines."""

from steplens.model.finding import Finding, Severity
from steplens.model.report import Report
from steplens.views.paint import PLAIN, Look, harmless

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(report: Report, look: Look = PLAIN) -> str:
    """One workflow command per finding."""
    return "".join(_command(finding) + "\n" for finding in report.findings)


def _command(finding: Finding) -> str:
    properties = {"title": f"steplens ({finding.code})"}
    at = finding.at
    if at is not None:
        end = at.end_line or at.line
        column = max(at.end_column - 1, at.column) if end == at.line else at.column
        properties |= {"file": at.file, "line": str(at.line), "col": str(at.column)}
        properties |= {"endLine": str(end), "endColumn": str(column)}
    where = f" (cell {at.cell})" if at is not None and at.cell else ""
    text = f"{finding.code} {finding.name}: {finding.message}{where}"
    if finding.help:
        text += f"\n  help: {finding.help}"
    named = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{LEVELS[finding.severity]} {named}::{_data(text)}"


def _data(text: str) -> str:
    return harmless(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
