"""Findings, pinned: on a stop, on lines, with evidence, help and the rule's own text."""

from collections.abc import Mapping

from steplens.model import event as ev
from steplens.model.finding import Finding
from steplens.model.report import Report
from steplens.model.site import Site
from steplens.views.page.places import Places
from steplens.views.page.stops import Stop
from steplens.views.speech import FALLBACK


def findings(
    report: Report, found: list[Stop], places: Places, pages: Mapping[str, str]
) -> list[dict[str, object]]:
    """Every finding of the report, in its order; ``found`` are all positions of the page, those
    that stand for events which were not kept have no place. ``rule`` says what the rule finds, in a
    language other than English, in which findings are written."""
    foreign = places.speech.lang != FALLBACK
    known = {each.code: each.name for each in (*report.findings, *report.suppressed)}
    out: list[dict[str, object]] = []
    for each in report.findings:
        here = _stop(each, found)
        out.append(
            {
                "code": each.code,
                "name": each.name,
                "severity": each.severity.value,
                "message": each.message,
                "rule": pages.get(each.code, "").partition("\n")[0] if foreign else "",
                "label": each.label,
                "help": each.help,
                "stop": here,
                "event": each.event,
                "at": _mark(each.at, each.label, here, found, places),
                "because": [_mark(b.at, b.label, here, found, places) for b in each.because],
                "evidence": [[e.subject, e.got, e.expected] for e in each.evidence],
                "steps": [each.first_step, each.last_step, each.count],
                "consequences": [
                    f"{code} {known.get(code, '')}".strip() for code in each.consequences
                ],
                "tensors": list(each.tensors),
            }
        )
    return out


def rule_pages(report: Report, pages: Mapping[str, str]) -> dict[str, str]:
    """The texts of the rules that found something."""
    codes = {finding.code for finding in report.findings}
    return {code: text for code, text in pages.items() if code in codes}


def _mark(
    site: Site | None, label: str, here: int, found: list[Stop], places: Places
) -> dict[str, object]:
    kept = found[here].site is not None
    return {
        "spot": places.spot(site),
        "place": places.say(site),
        "label": label,
        "stop": _visit(site, here, found) if site is not None and kept else -1,
    }


def _stop(finding: Finding, found: list[Stop]) -> int:
    """The stop of a finding: that of its event, else the first one on its line."""
    for position, stop in enumerate(found):
        if stop.first <= finding.event <= stop.last:
            return position
    line = finding.at if finding.event < 0 else None
    on_line = [n for n, stop in enumerate(found) if line is not None and _on(stop, line)]
    if on_line:
        return on_line[0]
    before = [n for n, stop in enumerate(found) if stop.first <= finding.event]
    return before[-1] if before else 0


def _visit(site: Site, here: int, found: list[Stop]) -> int:
    """The last visit of a line up to the finding, else the first after it, -1 for none."""
    visits = [n for n, stop in enumerate(found) if _on(stop, site) and not _leaving(stop)]
    before = [n for n in visits if n <= here]
    return before[-1] if before else visits[0] if visits else -1


def _leaving(stop: Stop) -> bool:
    """Whether the stop is the end of a `with` block, which bears the line of its beginning."""
    return bool(stop.calls) and all(
        isinstance(call, ev.GradMode) and call.form == "exit" for call in stop.calls
    )


def _on(stop: Stop, site: Site) -> bool:
    at = stop.site
    return at is not None and (at.file, at.cell, at.line) == (site.file, site.cell, site.line)
