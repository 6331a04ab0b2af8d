"""The catalogue as text: the list of rules, and one rule's page, wrapped for a reader."""

from collections.abc import Iterable

import msgspec

from steplens.prose import cells, padded, wrapped
from steplens.rules import pages
from steplens.rules.base import Rule

WIDEST, NARROWEST = 100, 60


def listing(rules: Iterable[Rule], lang: str = "en", width: int = WIDEST) -> str:
    """All rules by family: code, severity, name, and the summary in a column of its own."""
    rules = tuple(rules)
    names = max((len(rule.name) for rule in rules), default=0)
    words = max(
        (cells(pages.SEVERITY_WORDS[lang][rule.severity.value]) for rule in rules), default=0
    )
    rows: list[str] = []
    family = ""
    for rule in rules:
        if pages.family(rule, lang) != family:
            rows += [""] if family else []
            family = pages.family(rule, lang)
            rows.append(family)
        word = pages.SEVERITY_WORDS[lang][rule.severity.value]
        left = f"{rule.code}  {padded(word, words)}  {padded(rule.name, names)}  "
        rows += _beside(left, _told(rule, lang), width)
    return "".join(row.rstrip() + "\n" for row in rows)


def as_json(rules: Iterable[Rule], lang: str = "en") -> str:
    """All that is known of each rule, for programs."""
    entries = [
        {
            "code": rule.code, "name": rule.name, "family": pages.family(rule, lang),
            "severity": rule.severity.value, "summary": pages.summary(rule, lang),
            "opinion": rule.opinion, "needs": rule.triggers, "claims": rule.claims,
            "page": pages.page(rule, lang),
        }
        for rule in rules
    ]  # fmt: skip
    return msgspec.json.format(msgspec.json.encode(entries), indent=2).decode() + "\n"


def explained(rule: Rule, lang: str = "en", width: int = WIDEST) -> str:
    """A rule's page under its code, name and severity; prose wrapped, code as it stands."""
    bracket = {"en": " ({})", "zh": "（{}）"}[lang]
    head = f"{rule.code} {rule.name}{bracket.format(pages.severity(rule, lang))}"
    text = f"{head}\n\n{_flowed(pages.page(rule, lang), width)}\n"
    if rule.claims:
        lab = ", ".join(f"`steplens lab {claim}`" for claim in rule.claims)
        text += "\n" + "\n".join(wrapped(pages.RESTS[lang] + lab, width)) + "\n"
    return text


def fitting(width: int) -> int:
    """The width to write at, for a terminal of so many columns."""
    return max(NARROWEST, min(width, WIDEST))


def _told(rule: Rule, lang: str) -> str:
    said = pages.summary(rule, lang)
    bracket = {"en": " ({})", "zh": "（{}）"}[lang]
    return said + bracket.format(pages.OPINION[lang]) if rule.opinion else said


def _beside(left: str, text: str, width: int) -> list[str]:
    """Text wrapped in a column to the right of ``left``, or below it where that is too narrow."""
    room = width - cells(left)
    if room < 30:
        return [left, *(f"       {line}" for line in wrapped(text, width - 7))]
    first, *rest = wrapped(text, room)
    return [left + first, *(" " * cells(left) + line for line in rest)]


def _flowed(page: str, width: int) -> str:
    lines: list[str] = []
    prose: list[str] = []
    for line in [*page.splitlines(), ""]:
        if line and not line.startswith((" ", "#", "-")):
            prose.append(line)
            continue
        if prose:
            lines += wrapped(" ".join(prose), width)
            prose = []
        lines.append(line)
    return "\n".join(lines).rstrip()
