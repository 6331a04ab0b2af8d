"""What the page says before the first stop: the account, and what was and was not looked at."""

from steplens.model.finding import Severity
from steplens.model.report import Report
from steplens.views.account import made, untold, value
from steplens.views.fates import Words
from steplens.views.order import MODES, ORDER, modes, order, verdict
from steplens.views.speech import Speech
from steplens.views.summary import caveats

LOSSES = 3

Line = dict[str, object]


def head(report: Report, speech: Speech) -> dict[str, object]:
    """Facts, the account, and what was looked at."""
    ran, idle = report.rules.ran, report.rules.nothing_to_look_at
    return {
        "program": report.program,
        "line": _line(report, speech),
        "started": report.started,
        "torch": report.torch,
        "python": report.python,
        "steplens": report.steplens,
        "steps": report.steps,
        "status": report.status,
        "caveats": ["".join(text for text, _ in row) for row in caveats(report, speech)],
        "account": _account(report, speech),
        "looked": _looked(report, speech),
        "ran": list(ran),
        "idle": list(idle),
        "suppressed": [f"{f.code} {f.name}: {f.message}" for f in report.suppressed],
        "worst": max((f.severity for f in report.findings), key=lambda s: s.rank).value
        if report.findings
        else "",
    }


def _line(report: Report, speech: Speech) -> str:
    """Findings by severity, steps and events."""
    by = {rank: sum(f.severity == rank for f in report.findings) for rank in Severity}
    words = [speech.say(f"n.{rank.value}", n=count) for rank, count in by.items() if count]
    counts = [("steps", report.steps), ("events", sum(report.timeline.counts.values()))]
    words += [speech.say(f"n.{name}", n=count) for name, count in counts]
    return " · ".join(words)


def _account(report: Report, speech: Speech) -> list[Line]:
    """Rows of heading, names, words and rules."""
    account = report.account
    if not account.backwards and not account.steps:
        said = "nothing-no-torch" if not report.torch else "nothing-trained"
        return [{"head": speech.say("head.trained"), "said": [speech.say(said)]}]
    words = Words(report, speech)
    rows: list[Line] = [
        {
            "head": speech.say(f"head.{row.fates[0].kind}"),
            "names": row.names,
            "said": [row.count, *row.said],
            "codes": list(row.codes),
        }
        for row in words.rows()
    ]
    for name, lines, said in (
        ("order", order(report, speech), verdict(report, "SL2", ORDER)),
        ("modes", list(filter(None, [modes(report, speech)])), verdict(report, "SL1", MODES)),
    ):
        fine = said == "fine"
        codes = [] if fine else said.split()
        for line in lines:
            rows.append(
                {"head": speech.say(f"head.{name}"), "said": [line], "fine": fine, "codes": codes}
            )
    losses = sorted(account.losses, key=lambda loss: -loss.times)
    for loss in losses[:LOSSES]:
        where = words.line(loss.site, report.program) if len(losses) > 1 else ""
        rows.append(
            {
                "head": speech.say("head.loss"),
                "names": where,
                "said": list(filter(None, [value(loss, words), made(loss, words)])),
            }
        )
    return rows


def _looked(report: Report, speech: Speech) -> list[list[str]]:
    """Pairs: looked at and not, in words."""
    say = speech.say
    looked = [say("looked.rules", n=len(report.rules.ran))]
    if report.window.kept or report.window.ended == "end":
        looked.append(say("looked.lines", n=report.window.kept))
    steps = sum(report.account.steps.values())
    if report.account.looks:
        looked.append(say("looked.values", n=report.account.looks, of=steps))
    missed = [say("missed.ranks")]
    missed += [say("missed.region", name=name) for name in report.not_seen]
    if not report.not_seen:
        missed.append(say("missed.no-regions"))
    missed += untold(report, speech)
    if report.rules.nothing_to_look_at:
        missed.append(say("missed.rules", n=len(report.rules.nothing_to_look_at)))
    if steps > report.account.looks:
        missed.append(say("missed.values", n=steps - report.account.looks, of=steps))
    if report.window.rested and report.window.ended != "rest":
        missed.append(say("missed.window-rested"))
    ended = f"missed.window-{report.window.reason}"
    if ended in speech.texts and report.torch:
        missed.append(say(ended, n=report.window.kept))
    if report.timeline.dropped:
        missed.append(say("missed.dropped", n=f"{report.timeline.dropped:,}"))
    return [looked, missed]
