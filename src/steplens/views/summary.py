"""The closing lines of a report: counts, what was not looked at, and the next command."""

from steplens.model.finding import Severity
from steplens.model.report import Report
from steplens.views.paint import Row, plain
from steplens.views.speech import ENGLISH, Speech


def counted(count: int, noun: str, plural: str = "s") -> str:
    """A count with its noun: ``1 step``, ``3 steps``, with ``plural`` as the ending of many."""
    return f"{count} {noun}{'' if count == 1 else plural}"


def summary_line(report: Report, speech: Speech = ENGLISH) -> str:
    """Findings by severity, steps, events and rules in one line."""
    say, ranks = speech.say, (Severity.ERROR, Severity.WARNING, Severity.NOTE)
    by = {rank: sum(f.severity == rank for f in report.findings) for rank in ranks}
    found = [say(f"n.{rank.value}", n=count) for rank, count in by.items() if count]
    hushed = len(report.suppressed)
    return say(
        "close.line",
        found=say("comma").join(found) or say("close.none"),
        hushed=say("close.suppressed", n=hushed) if hushed else "",
        steps=say("n.steps", n=report.steps),
        events=say("n.events", n=sum(report.timeline.counts.values())),
        rules=say("n.rules", n=len(report.rules.ran)),
        idle=len(report.rules.nothing_to_look_at),
    )


def caveats(report: Report, speech: Speech = ENGLISH) -> list[Row]:
    """What makes the findings less than the whole truth: faults, unseen regions, a killed run."""
    say = speech.say
    rows = [] if report.complete else plain(say("close.incomplete"))
    rows += plain(*(say("close.not-seen", region=region) for region in report.not_seen))
    rows += [[(say("close.fault"), "error"), (fault, "plain")] for fault in report.faults]
    return rows


def cost(report: Report, speech: Speech = ENGLISH) -> list[Row]:
    """What watching took, as measured; nothing where it was not."""
    spent = report.cost
    if not spent.window_total:
        return []
    words = speech.say(
        "close.cost-beyond" if spent.beyond_total else "close.cost",
        window=f"{spent.window:.2g}",
        total=f"{spent.window_total:.2g}",
        share=f"{spent.beyond / spent.beyond_total:.1%}" if spent.beyond_total else "",
        beyond=f"{spent.beyond_total:.2g}",
    )
    steps, looks = sum(report.account.steps.values()), report.account.looks
    return plain(speech.say("close.values", spent=words, looks=looks, n=steps))


def story(report: Report, speech: Speech = ENGLISH) -> list[Row]:
    """The command that explains what was found; nothing when nothing was."""
    codes = list(dict.fromkeys(finding.code for finding in report.findings))[:3]
    return plain(speech.say("close.story", codes=" ".join(codes))) if codes else []


def closing(report: Report, speech: Speech = ENGLISH) -> list[Row]:
    """All closing lines in order."""
    line = summary_line(report, speech)
    return [*caveats(report, speech), [(line, "strong")], *story(report, speech)]
