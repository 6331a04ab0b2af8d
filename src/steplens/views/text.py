"""The full view: the account, then each finding with the user's code and the numbers."""

from steplens.model.finding import Finding
from steplens.model.report import Report
from steplens.views.account import account_rows
from steplens.views.paint import PLAIN, Look, Row, paint, plain
from steplens.views.summary import closing, cost, counted
from steplens.views.window import Mark, windows


def render(report: Report, look: Look = PLAIN) -> str:
    """The report in full, findings in the order of their first step."""
    rows = [] if look.brief else account_rows(report)
    if rows:
        rows += plain("")
    for finding in report.findings:
        rows += [*finding_rows(finding, report), *plain("")]
    spent = [] if look.brief else cost(report)
    return paint([*rows, *closing(report), *spent], look)


def finding_rows(finding: Finding, report: Report) -> list[Row]:
    """One finding: header, windows, numbers, help."""
    severity = finding.severity.value
    rows: list[Row] = [
        [
            (f"{severity}[{finding.code} {finding.name}]", severity),
            (f": {finding.message}", "strong"),
        ]
    ]
    marks = [Mark(finding.at, finding.label, primary=True)] if finding.at else []
    marks += [Mark(cause.at, cause.label, primary=False) for cause in finding.because]
    rows += windows(marks, report.sources, severity)
    edge = " " * (max((len(str(mark.at.line)) for mark in marks), default=1) + 1)
    for name, words in _facts(finding, report):
        rows.append([(f"{edge}= ", "frame"), (f"{name}: ", "strong"), (words, "plain")])
    if finding.help:
        rows.append([("help", "help"), (f": {finding.help}", "plain")])
    return rows


def _facts(finding: Finding, report: Report) -> list[tuple[str, str]]:
    facts = [
        ("evidence", _evidence(each.subject, each.got, each.expected)) for each in finding.evidence
    ]
    if finding.count > 1:
        times = counted(finding.count, "time")
        facts.append(
            ("steps", f"{times}, first at step {finding.first_step}, last at {finding.last_step}")
        )
    if finding.consequences:
        known = {each.code: each.name for each in (*report.findings, *report.suppressed)}
        named = (f"{code} {known.get(code, '')}".strip() for code in finding.consequences)
        facts.append(("consequences", ", ".join(named)))
    return facts


def _evidence(subject: str, got: str, expected: str) -> str:
    return f"{subject}: {got}" + (f", expected {expected}" if expected else "")
