"""``steplens lab``: runs the claims that were asked for, and shows them as they are decided."""

import sys
from collections.abc import Callable, Iterator, Sequence

from steplens.lab import document, listing, running, story, watching
from steplens.lab.claims import BY_NAME
from steplens.lab.ranks import WORLD, Ranks
from steplens.lab.running import Outcome
from steplens.lab.words import SAID
from steplens.views.paint import Look, Row, paint

Emit = Callable[[str], None]


def outcomes(names: Sequence[str], lang: str = "en", *, watched: bool = False) -> Iterator[Outcome]:
    """Decide the claims in this order; the processes for those on ranks start at once."""
    claims = [BY_NAME[name] for name in names]
    ranked = Ranks([claim for claim in claims if claim.ranks], watched)
    found: dict[str, Outcome] = {}
    try:
        for claim in claims:
            if not claim.ranks:
                yield watching.watch(claim) if watched else running.run(claim)
                continue
            if not found:
                _tell(lang)
                found = ranked.outcomes()
            yield found[claim.name]
    finally:
        ranked.close()


def listed(names: Sequence[str], lang: str, width: int, look: Look, emit: Emit) -> bool:
    """Show one line a claim, group by group; whether all verdicts are the recorded ones."""
    found: list[Outcome] = []
    last = [name for name in names if BY_NAME[name].ranks]  # they take longest: shown last
    order = [name for name in names if name not in last] + last
    for outcome in outcomes(order, lang):
        if found and found[-1].claim.group != outcome.claim.group:
            emit(paint([*_group(found, lang, width), []], look))
        found.append(outcome)
    emit(paint([*_group(found, lang, width), [], *listing.closing(found, lang, width)], look))
    return all(outcome.as_recorded for outcome in found)


def told(names: Sequence[str], lang: str, width: int, look: Look, emit: Emit) -> bool:
    """Tell the whole story of each claim; whether all verdicts are the recorded ones."""
    found: list[Outcome] = []
    for outcome in outcomes(names, lang, watched=True):
        rule: list[Row] = [[], [("-" * width, "faint")], []] if found else []
        emit(paint([*rule, *story.rows(outcome, lang, width)], look))
        found.append(outcome)
    emit(paint(story.closing(found, lang, width), look))
    return all(outcome.as_recorded for outcome in found)


def as_json(names: Sequence[str], lang: str, emit: Emit, *, watched: bool) -> bool:
    """Give the outcomes as JSON; whether all verdicts are the recorded ones."""
    found = list(outcomes(names, lang, watched=watched))
    emit(document.render(found, lang))
    return all(outcome.as_recorded for outcome in found)


def _group(found: Sequence[Outcome], lang: str, width: int) -> list[Row]:
    """The rows of the group that was decided last."""
    group = found[-1].claim.group
    return listing.group([each for each in found if each.claim.group == group], lang, width)


def _tell(lang: str) -> None:
    """Say what is waited for, to people only."""
    if sys.stderr.isatty():
        sys.stderr.write(SAID[lang]["waiting"].format(world=WORLD) + "\r")
