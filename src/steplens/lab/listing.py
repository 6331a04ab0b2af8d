"""The lab's list: one line a claim with its number, by group."""

from collections.abc import Iterable, Sequence

import torch

from steplens.lab import recorded, shown
from steplens.lab.base import Verdict
from steplens.lab.ranks import WORLD
from steplens.lab.running import Outcome
from steplens.lab.words import SAID, SHORT, VERDICTS, title
from steplens.prose import cells, padded, wrapped
from steplens.views.paint import Row

STYLES = {
    Verdict.HOLDS: "help",
    Verdict.ONLY_IF: "warning",
    Verdict.NOT: "error",
    Verdict.UNDECIDED: "note",
}
LEAST = 24  # columns for the number beside the name


def group(outcomes: Sequence[Outcome], lang: str, width: int) -> list[Row]:
    """The rows of one group's claims, under its title."""
    verdicts = max(cells(word) for word in SHORT[lang].values())
    names = max(len(outcome.claim.name) for outcome in outcomes)
    rows: list[Row] = [[(title(outcomes[0].claim.group, lang), "strong")]]
    for outcome in outcomes:
        verdict = padded(SHORT[lang][outcome.verdict], verdicts)
        name = outcome.claim.name.ljust(names)
        room = width - 2 - verdicts - 2 - names - 2
        row: Row = [("  ", "plain"), (verdict, STYLES[outcome.verdict]), (f"  {name}", "plain")]
        rows.append([*row, (f"  {_number(outcome, lang, max(room, LEAST))}".rstrip(), "plain")])
        if not outcome.as_recorded:
            rows.append([(f"  {' ' * verdicts}  {news(outcome, lang)}", "error")])
    return rows


def closing(outcomes: Sequence[Outcome], lang: str, width: int) -> list[Row]:
    """The counts, what is not as recorded, what was not tried, and what to do next."""
    said = SAID[lang]
    counted = {verdict: sum(o.verdict is verdict for o in outcomes) for verdict in Verdict}
    line = said["counts"].format(
        n=len(outcomes), torch=torch.__version__, holds=counted[Verdict.HOLDS],
        only_if=counted[Verdict.ONLY_IF], no=counted[Verdict.NOT],
    )  # fmt: skip
    if counted[Verdict.UNDECIDED]:
        line += said["undecided"].format(n=counted[Verdict.UNDECIDED])
    other = [outcome for outcome in outcomes if not outcome.as_recorded]
    if other:
        names = said["join"].join(outcome.claim.name for outcome in other)
        told, style = said["not as recorded"].format(n=len(other), names=names), "error"
    else:
        versions = dict.fromkeys(outcome.expected.torch for outcome in outcomes)
        own = all(outcome.expected.own for outcome in outcomes)
        key = "all as recorded" if own else "all as newest"
        told, style = said[key].format(version=said["join"].join(versions)), "plain"
    first = outcomes[0].claim
    hint = said["next"].format(name=first.name, group=first.group)
    lines = ((line, "strong"), (told, style), (gpus(outcomes, lang), "plain"), (hint, "plain"))
    return [[(part, kind)] for text, kind in lines for part in wrapped(text, width)]


def gpus(outcomes: Iterable[Outcome], lang: str) -> str:
    """What this machine lacks, or was not used for."""
    ranked = any(outcome.claim.ranks for outcome in outcomes)
    said = SAID[lang]["gpus" if ranked else "gpus unused"]
    return said.format(n=torch.cuda.device_count(), world=WORLD)


def news(outcome: Outcome, lang: str) -> str:
    """That a verdict is not the recorded one."""
    expected = outcome.expected
    if not expected.torch:
        return SAID[lang]["unrecorded"]
    verdict = verdict_named(expected, lang)
    return SAID[lang]["news"].format(version=expected.torch, verdict=verdict)


def verdict_named(record: recorded.Record, lang: str) -> str:
    """A recorded verdict in words."""
    return VERDICTS[lang][Verdict(record.verdict)]


def _number(outcome: Outcome, lang: str, room: int) -> str:
    """The number in a sentence; in figures where that is too long, as many of them as fit."""
    text = shown.sentence(outcome, lang)
    if cells(text) <= room:
        return text
    join = SAID[lang]["join"]
    figures = shown.figures(outcome, lang)
    for count in range(len(figures), 0, -1):
        text = join.join([*figures[:count], *(["..."] if count < len(figures) else [])])
        if cells(text) <= room:
            return text
    while cells(text) > room - 3:
        text = text[:-1]
    return text.rstrip(" ,.，") + "..."
