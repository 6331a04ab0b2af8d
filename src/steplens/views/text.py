"""The full view: the account, then each finding with the user's code and the numbers."""

from steplens.model.finding import Evidence, Finding
from steplens.model.report import Report
from steplens.views.account import account_rows
from steplens.views.paint import PLAIN, Look, Row, paint, plain
from steplens.views.speech import FALLBACK, Speech
from steplens.views.summary import closing, cost
from steplens.views.window import Mark, windows


def render(report: Report, look: Look = PLAIN) -> str:
    """The report in full, findings in the order of their first step."""
    speech = Speech(look.lang)
    rows = [] if look.brief else account_rows(report, speech)
    if rows:
        rows += plain("")
    for finding in report.findings:
        rows += [*finding_rows(finding, report, look), *plain("")]
    spent = [] if look.brief else cost(report, speech)
    return paint([*rows, *closing(report, speech), *spent], look)


def finding_rows(finding: Finding, report: Report, look: Look = PLAIN) -> list[Row]:
    """One finding: header, windows, numbers, help; what its rule finds, in a language other than
    English, in which findings are written."""
    speech = Speech(look.lang)
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
    colon = speech.say("colon")
    edge = " " * (max((len(str(mark.at.line)) for mark in marks), default=1) + 1)
    for name, words in [*_rule(finding, look), *_facts(finding, report, speech)]:
        rows.append([(f"{edge}= ", "frame"), (name + colon, "strong"), (words, "plain")])
    if finding.help:
        rows.append([(speech.say("finding.help"), "help"), (colon + finding.help, "plain")])
    return rows


def _rule(finding: Finding, look: Look) -> list[tuple[str, str]]:
    page = look.pages.get(finding.code, "") if look.lang != FALLBACK else ""
    return [(Speech(look.lang).say("finding.rule"), page.partition("\n")[0])] if page else []


def _facts(finding: Finding, report: Report, speech: Speech) -> list[tuple[str, str]]:
    say = speech.say
    facts = [(say("finding.evidence"), _evidence(each, speech)) for each in finding.evidence]
    if finding.count > 1:
        steps = {"first": finding.first_step, "last": finding.last_step}
        facts.append((say("finding.steps"), say("finding.times", n=finding.count, **steps)))
    if finding.consequences:
        known = {each.code: each.name for each in (*report.findings, *report.suppressed)}
        named = (f"{code} {known.get(code, '')}".strip() for code in finding.consequences)
        facts.append((say("finding.consequences"), ", ".join(named)))
    return facts


def _evidence(fact: Evidence, speech: Speech) -> str:
    expected = speech.say("finding.expected", what=fact.expected) if fact.expected else ""
    return f"{fact.subject}{speech.say('colon')}{fact.got}{expected}"
