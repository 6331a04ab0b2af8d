"""The sarif view: SARIF 2.1.0 for code scanning."""

import hashlib
import re
from typing import Any

import msgspec

from steplens.model import event as ev
from steplens.model.finding import Finding, Severity
from steplens.model.report import Report
from steplens.model.site import Site
from steplens.views import calls
from steplens.views.paint import PLAIN, Look
from steplens.views.window import source_line

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
FLOW = 1000  # events of a thread flow that are kept
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
DESCRIPTION = 1024  # letters of a description that code scanning shows

Json = dict[str, Any]


def render(report: Report, look: Look = PLAIN) -> str:
    """One run with a result per finding."""
    rules = list({finding.code: finding for finding in report.findings}.values())
    places = {finding.code: position for position, finding in enumerate(rules)}
    driver: Json = {
        "name": "steplens",
        "version": report.steplens or "0",
        "language": LANGUAGES[look.lang],
        "rules": [_rule(finding, look) for finding in rules],
    }
    run: Json = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, places[finding.code], report) for finding in report.findings],
        "invocations": [_invocation(report)],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2).decode() + "\n"


def _invocation(report: Report) -> Json:
    faults = [{"level": "error", "message": {"text": fault}} for fault in report.faults]
    unseen = [
        {"level": "note", "message": {"text": f"not seen: {each}"}} for each in report.not_seen
    ]
    return {"executionSuccessful": report.complete, "toolExecutionNotifications": faults + unseen}


def _rule(finding: Finding, look: Look) -> Json:
    page = look.pages.get(finding.code, "")
    summary = page.partition("\n")[0] or finding.name.replace("-", " ")
    return {
        "id": finding.code,
        "name": finding.name,
        "shortDescription": {"text": summary},
        "fullDescription": {"text": _description(page) or summary},
        "help": {"text": page or summary, "markdown": page or summary},
        "defaultConfiguration": {"level": LEVELS[finding.severity]},
    }


def _description(page: str) -> str:
    """What a rule does and why it matters, as plain paragraphs, as much as is shown of them."""
    summary, *sections = page.split("\n## ")
    paragraphs = [summary, *(section.partition("\n")[2] for section in sections[:2])]
    told = [" ".join(paragraph.split()) for paragraph in paragraphs]
    while len("\n\n".join(told)) > DESCRIPTION:
        parts = re.split(r"(?<=[.;]) ", told.pop())[:-1]
        if parts:  # as much of a long paragraph as there is room for
            told.append(" ".join(parts).rstrip(";…") + (" …" if parts[-1][-1] != "." else ""))
    return "\n\n".join(told)


def _result(finding: Finding, position: int, report: Report) -> Json:
    result: Json = {
        "ruleId": finding.code,
        "ruleIndex": position,
        "level": LEVELS[finding.severity],
        "message": {"text": _message(finding)},
        "locations": [_location(finding.at, finding.label)] if finding.at else [],
        "relatedLocations": [
            {"id": number, **_location(cause.at, cause.label)}
            for number, cause in enumerate(finding.because, start=1)
        ],
        "partialFingerprints": {"steplens/v1": _fingerprint(finding, report)},
    }
    flow = _flow(finding, report)
    if flow:
        result["codeFlows"] = [{"threadFlows": [{"locations": flow}]}]
    return result


def _message(finding: Finding) -> str:
    lines = [finding.message]
    for each in finding.evidence:
        expected = f", expected {each.expected}" if each.expected else ""
        lines.append(f"evidence: {each.subject}: {each.got}{expected}")
    if finding.help:
        lines.append(f"help: {finding.help}")
    return "\n".join(lines)


def _location(at: Site, label: str) -> Json:
    region: Json = {"startLine": at.line, "startColumn": at.column}
    if at.end_line >= at.line and at.end_column:
        region |= {"endLine": at.end_line, "endColumn": at.end_column}
    artifact = {"uri": _uri(at.file)}
    location: Json = {"physicalLocation": {"artifactLocation": artifact, "region": region}}
    location["logicalLocations"] = [{"name": at.function, "kind": "function"}]
    if label or at.cell:
        location["message"] = {
            "text": f"{f'cell {at.cell}: ' if at.cell else ''}{label}".rstrip(": ")
        }
    return location


def _uri(file: str) -> str:
    from urllib.parse import quote

    path = quote(file.replace("\\", "/"))
    return f"file://{path}" if path.startswith("/") else path


def _flow(finding: Finding, report: Report) -> list[Json]:
    """The events from the earliest cause to the finding, with a known place each."""
    if finding.at is None or finding.event < 0 or not finding.because:
        return []
    lines = {(cause.at.file, cause.at.cell, cause.at.line) for cause in finding.because}
    kept = [
        e for e in report.timeline.events if e.index <= finding.event and e.site and calls.shown(e)
    ]
    first = next((i for i, e in enumerate(kept) if e.site and _key(e.site) in lines), len(kept))
    chosen = kept[first:]
    if len(chosen) > FLOW:
        chosen = chosen[: FLOW // 2] + chosen[-FLOW // 2 :]
    return [_stop(event, report) for event in chosen if event.site]


def _stop(event: ev.Event, report: Report) -> Json:
    assert event.site is not None
    location = _location(event.site, calls.words(event, report.roster))
    return {"location": location, "executionOrder": event.index}


def _key(site: Site) -> tuple[str, int, int]:
    return (site.file, site.cell, site.line)


def _fingerprint(finding: Finding, report: Report) -> str:
    """A name for the alert that an unrelated edit or a longer run does not change."""
    at = finding.at
    parts = [finding.code]
    if at is not None:
        parts += [at.file, at.function, source_line(report.sources, at) or ""]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
