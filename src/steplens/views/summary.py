"""The closing lines of a report: counts, what was not looked at, and the next command."""

from steplens.model.finding import Severity
from steplens.model.report import Report
from steplens.views.paint import Row, plain


def counted(count: int, noun: str, plural: str = "s") -> str:
    """A count with its noun: ``1 step``, ``3 steps``, with ``plural`` as the ending of many."""
    return f"{count} {noun}{'' if count == 1 else plural}"


def summary_line(report: Report) -> str:
    """Findings by severity, steps, events and rules in one line."""
    ranks = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
    by = [(sum(f.severity == rank for f in report.findings), rank.value) for rank in ranks]
    found = ", ".join(counted(count, name) for count, name in by if count) or "no findings"
    hushed = f", {len(report.suppressed)} suppressed" if report.suppressed else ""
    events = counted(sum(report.timeline.counts.values()), "event")
    ran, idle = len(report.rules.ran), len(report.rules.nothing_to_look_at)
    return (
        f"{found}{hushed} in {counted(report.steps, 'step')} ({events}); "
        f"{counted(ran, 'rule')} ran, {idle} had nothing to look at"
    )


def caveats(report: Report) -> list[Row]:
    """What makes the findings less than the whole truth: faults, unseen regions, a killed run."""
    rows: list[Row] = []
    if not report.complete:
        rows += plain(
            "incomplete: the program was killed, or still runs; findings up to its last save"
        )
    rows += plain(*(f"not seen: {region}" for region in report.not_seen))
    rows += [[("fault of steplens: ", "error"), (fault, "plain")] for fault in report.faults]
    return rows


def cost(report: Report) -> list[Row]:
    """What watching took, as measured; nothing where it was not."""
    spent = report.cost
    if not spent.window_total:
        return []
    words = f"watching took {spent.window:.2g} s of the {spent.window_total:.2g} s"
    if spent.beyond_total:
        share = spent.beyond / spent.beyond_total
        words += f" to the end of the detail window, {share:.1%} of the {spent.beyond_total:.2g} s"
        words += " beyond it"
    steps = sum(report.account.steps.values())
    return plain(f"{words}; values read at {report.account.looks} of {counted(steps, 'step')}")


def story(report: Report) -> list[Row]:
    """The command that explains what was found; nothing when nothing was."""
    codes = list(dict.fromkeys(finding.code for finding in report.findings))[:3]
    if not codes:
        return []
    return plain(f"for the whole story, run `steplens explain {' '.join(codes)}`")


def closing(report: Report) -> list[Row]:
    """All closing lines in order."""
    return [*caveats(report), [(summary_line(report), "strong")], *story(report)]
