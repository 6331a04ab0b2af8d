"""The whole story of one claim: sentence, experiment line by line, numbers, verdict, truth."""

from collections.abc import Callable, Iterable, Sequence

from steplens.lab import listing, shown, watching
from steplens.lab.base import Verdict, true
from steplens.lab.ranks import WORLD
from steplens.lab.running import Outcome
from steplens.lab.words import HELPERS, SAID, VERDICTS, note, title, words
from steplens.model.event import Line
from steplens.model.report import Report
from steplens.model.state import Change
from steplens.prose import cells, padded, wrapped
from steplens.rules import RULES
from steplens.views.paint import Row
from steplens.views.values import change, subject

RUNS = 3  # runs of one line that are shown
PARTS = 6  # changes shown under one line


def rows(outcome: Outcome, lang: str, width: int) -> list[Row]:
    """The story as rows; with the timeline when the experiment was watched."""
    claim, said = outcome.claim, SAID[lang]
    told = words(claim, lang)
    head: Row = [
        (claim.name, "strong"), (f"  ({title(claim.group, lang)})  ", "faint"),
        (VERDICTS[lang][outcome.verdict], listing.STYLES[outcome.verdict]),
    ]  # fmt: skip
    out: list[Row] = [head, []]
    out += [[(line, "strong")] for line in wrapped(told.sentence, width)]
    if claim.note is not None:
        text = note(claim.note, lang)
        own = text == told.sentence
        label = said["in words" if own else "author"].format(n=claim.note)
        text = label if own else label + said["colon"] + text
        out += [[(line, "faint")] for line in wrapped(text, width)]
    out += [[], *_experiment(outcome, lang, width), []]
    out += _facts(outcome, lang, width)
    return out


def short(outcome: Outcome, lang: str, width: int) -> list[Row]:
    """The claim and what it came to, for a reader who has the experiment before him."""
    sentence = words(outcome.claim, lang).sentence
    head: list[Row] = [[(line, "strong")] for line in wrapped(sentence, width)]
    return [*head, *_facts(outcome, lang, width)]


def _experiment(outcome: Outcome, lang: str, width: int) -> list[Row]:
    said, report = SAID[lang], outcome.report
    lines = watching.source(outcome.claim).splitlines()
    seen = _changes(report) if report is not None else {}
    name = "rank" if outcome.claim.ranks else "experiment"
    head = said[name if report is not None else "unwatched"].format(world=WORLD)
    out: list[Row] = [[(line, "frame")] for line in wrapped(head, width)]
    for number, line in enumerate(lines, 1):
        out += _code(number, line, width)
        out += _below(seen.get(number, []), lang, width)
    if report is not None and report.window.ended == "debugger":
        out.append([(said["no lines"], "faint")])
    used = [name for name in HELPERS[lang] if _names(outcome, name)]
    for name in used:
        text = f"`{name}`{said['colon']}{HELPERS[lang][name]}"
        out += [[(f"      {line}", "faint")] for line in wrapped(text, width - 6)]
    return out


def _code(number: int, line: str, width: int) -> list[Row]:
    """A line of the source; one that is too long goes on below, at a comma."""
    shown_lines, indent = [line], len(line) - len(line.lstrip()) + 4
    while len(shown_lines[-1]) > width - 6:
        text = shown_lines.pop()
        cut = text.rfind(", ", indent, width - 6) + 1 or text.rfind(" ", indent, width - 6)
        if cut <= 0:
            shown_lines.append(text)
            break
        shown_lines += [text[:cut], " " * indent + text[cut:].strip()]
    first, *rest = shown_lines
    return [
        [(f"{number:>4}  ", "frame"), (first, "plain")],
        *([(f"      {r}", "plain")] for r in rest),
    ]


def _changes(report: Report) -> dict[int, list[Sequence[Change]]]:
    """What each run of each line changed, by line."""
    found: dict[int, list[Sequence[Change]]] = {}
    for event in report.timeline.events:
        if isinstance(event, Line) and event.site is not None:
            changes = _living(event.changes)
            if changes:
                found.setdefault(event.site.line, []).append(changes)
    return found


def _living(changes: Sequence[Change]) -> Sequence[Change]:
    """The changes without those of objects that went: a layer made anew in a loop."""
    gone = {each.subject for each in changes if each.after is None and each.part != "gradient"}
    return [each for each in changes if subject(each).removesuffix(".grad") not in gone]


def _below(runs: list[Sequence[Change]], lang: str, width: int) -> list[Row]:
    """What a line changed, each run under its number when there are several."""
    said = SAID[lang]
    out: list[Row] = []
    for number, changes in enumerate(runs[:RUNS], 1):
        label = said["run"].format(n=number) + "  " if len(runs) > 1 else ""
        names = max(cells(subject(item)) for item in changes[:PARTS])
        for index, item in enumerate(changes[:PARTS]):
            before = label if index == 0 else " " * cells(label)
            text = f"{before}{padded(subject(item), names)}  {change(item)}"
            indent = cells(label) + names + 2
            out += [[(f"        {line}", "note")] for line in _hung(text, indent, width - 8)]
        if len(changes) > PARTS:
            left = said["changes left"].format(n=len(changes) - PARTS)
            out.append([(f"        {' ' * cells(label)}{left}", "faint")])
    if len(runs) > RUNS:
        out.append([("        " + said["runs left"].format(n=len(runs) - RUNS), "faint")])
    return out


def _hung(text: str, indent: int, width: int) -> list[str]:
    """A change on one line, or with its new value on the next."""
    before, arrow, after = text.partition(" -> ")
    if cells(text) <= width or not arrow:
        return [text]
    return [before, f"{' ' * (indent - 3)}-> {after}"]


def _names(outcome: Outcome, name: str) -> bool:
    """Whether the experiment uses this helper."""
    code = outcome.claim.experiment.__code__
    waiting, found = [code], False
    while waiting:
        code = waiting.pop()
        found = found or name in code.co_names
        waiting += [inner for inner in code.co_consts if isinstance(inner, type(code))]
    return found


def _facts(outcome: Outcome, lang: str, width: int) -> list[Row]:
    """Measured, decided by, verdict, what is true, and the rules: label and text side by side."""
    claim, said = outcome.claim, SAID[lang]
    facts: list[tuple[str, list[str], str]] = []
    if outcome.fault:
        facts.append((said["measured"], [outcome.fault], "error"))
    else:
        values = [f"{name} = {shown.full(item)}" for name, item in outcome.measured.items()]
        facts.append((said["measured"], [shown.sentence(outcome, lang), *values], "plain"))
        facts.append((said["decided by"], _criteria(outcome, lang), "plain"))
    facts.append((said["verdict"], _verdict(outcome, lang), listing.STYLES[outcome.verdict]))
    facts.append((said["truth"], [words(claim, lang).truth], "plain"))
    if outcome.report is not None and outcome.report.findings:
        facts.append((said["found"], _found(outcome.report, lang), "plain"))
    rules = [f"{rule.code} {rule.name}" for rule in RULES if claim.name in rule.claims]
    if rules:
        facts.append((said["rules"], [said["join"].join(rules)], "plain"))
    labels = max(cells(label) for label, _, _ in facts)
    out: list[Row] = []
    for label, texts, style in facts:
        lines = [line for text in texts for line in wrapped(text, width - labels - 2)]
        for index, line in enumerate(lines):
            left = padded(label if index == 0 else "", labels)
            out.append([(f"{left}  ", "frame"), (line, style if index == 0 else "plain")])
    return out


def _found(report: Report, lang: str) -> list[str]:
    """What steplens says of the experiment as if it were a program."""
    return [
        SAID[lang]["finding"].format(rule=f"{each.code} {each.name}", line=each.at.line)
        for each in report.findings
        if each.at is not None
    ]


def _criteria(outcome: Outcome, lang: str) -> list[str]:
    said, found = SAID[lang], watching.criteria(outcome.claim)
    both = len(found) > 1
    out: list[str] = []
    for key, word in (("holds", "where"), ("elsewhere", "elsewhere")):
        if key in found:
            decide = outcome.claim.holds if key == "holds" else outcome.claim.elsewhere
            answer = said["yes" if _says(decide, outcome) else "no"]
            out.append(
                f"`{found[key]}`{said['colon']}{answer}" + (f" ({said[word]})" if both else "")
            )
    return out


def _says(decide: Callable[..., bool] | None, outcome: Outcome) -> bool:
    return decide is not None and true(decide, outcome.measured)


def _verdict(outcome: Outcome, lang: str) -> list[str]:
    said, expected = SAID[lang], outcome.expected
    text = VERDICTS[lang][outcome.verdict]
    if outcome.verdict is Verdict.ONLY_IF:
        only_if = words(outcome.claim, lang).only_if
        text = f"holds only if {only_if}" if lang == "en" else f"{text}{said['colon']}{only_if}"
    if not outcome.as_recorded:
        return [text, listing.news(outcome, lang)]
    if outcome.lacking:
        return [text]
    key = "recorded" if expected.own else "newest"
    return [text, said[key].format(version=expected.torch)]


def closing(outcomes: Iterable[Outcome], lang: str, width: int) -> list[Row]:
    """What this machine lacks, when the story is one of ranks."""
    outcomes = tuple(outcomes)
    if not any(outcome.claim.ranks for outcome in outcomes):
        return []
    return [[], *([(line, "plain")] for line in wrapped(listing.gpus(outcomes, lang), width))]
