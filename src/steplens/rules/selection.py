"""Selection: which rules run, from codes, prefixes, names and ALL."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from steplens.errors import BadSetting
from steplens.rules import RULES
from steplens.rules.base import Rule

EVERYTHING = "ALL"
ACCEPTED = "a code (SL201), the beginning of one (SL2), a name (gradients-never-cleared) or ALL"


def select(
    chosen: Iterable[str] = (EVERYTHING,),
    ignored: Iterable[str] = (),
    extra: Iterable[str] = (),
    rules: Sequence[Rule] = RULES,
) -> tuple[Rule, ...]:
    """The rules that run, in the order of the list: chosen and extra ones, less the ignored.

    The more exact word wins: ``--select SL201 --ignore SL2`` runs SL201, and between equals
    ``ignore`` wins. Opinions run only when named, or by a prefix of their own. Raises BadSetting
    for an unknown word.
    """
    wanted: dict[str, int] = {}
    unwanted: dict[str, int] = {}
    for word in (*chosen, *extra):
        for rule in matching(word, rules):
            if not rule.opinion or _names_opinions(word):
                wanted[rule.code] = max(wanted.get(rule.code, 0), _exactness(word, rule))
    for word in ignored:
        for rule in matching(word, rules):
            unwanted[rule.code] = max(unwanted.get(rule.code, 0), _exactness(word, rule))
    return tuple(rule for rule in rules if wanted.get(rule.code, -1) > unwanted.get(rule.code, -1))


def matching(word: str, rules: Sequence[Rule] = RULES) -> tuple[Rule, ...]:
    """The rules that a word names; BadSetting, with the nearest known name, when it names none."""
    if word.upper() == EVERYTHING:
        return tuple(rules)
    code, name = word.upper(), word.lower()
    found = [rule for rule in rules if rule.name == name or rule.code == code]
    if not found and code.startswith("SL"):
        found = [rule for rule in rules if rule.code.startswith(code)]
    if not found:
        raise BadSetting(
            f"no rule is called `{word}`{_nearest(word, rules)}; accepted is {ACCEPTED}"
        )
    return tuple(found)


def one(word: str, rules: Sequence[Rule] = RULES) -> Rule:
    """The one rule with this code or name; BadSetting when there is none."""
    for rule in rules:
        if word.upper() == rule.code or word.lower() == rule.name:
            return rule
    near = _nearest(word, rules)
    listed = "`steplens rules` lists them all"
    raise BadSetting(f"no rule is called `{word}`{near}{' ' if near else '; '}{listed}")


def _exactness(word: str, rule: Rule) -> int:
    """How exactly a word names a rule: 0 for ALL, the letters of a prefix, more for a name."""
    if word.upper() == EVERYTHING:
        return 0
    return len(rule.code) if word.lower() == rule.name else len(word)


def _names_opinions(word: str) -> bool:
    """Whether a word means opinions: anything but ALL and the prefix that all codes share."""
    return word.upper() not in (EVERYTHING, "SL")


def _nearest(word: str, rules: Sequence[Rule]) -> str:
    names = [rule.name for rule in rules]
    close = get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    close = close or [name for name in names if len(word) > 2 and word.lower() in name]
    close = close or get_close_matches(word.upper(), [rule.code for rule in rules], n=1, cutoff=0.8)
    return f"; did you mean `{close[0]}`?" if close else ""
