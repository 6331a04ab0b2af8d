"""What was measured, in words: numbers of four digits, errors by name, values by rank."""

import re
from typing import Any, cast

from steplens.lab.running import Outcome
from steplens.lab.words import SAID, words
from steplens.views.values import number

WHOLE = 1e9  # a whole number below it is shown in full
ERROR = re.compile(r"^(\w+(?:Error|Exception|Warning)): .*", re.DOTALL)


def sentence(outcome: Outcome, lang: str) -> str:
    """The claim's number with the measured values filled in; the fault when there is none."""
    if outcome.fault:
        return outcome.fault
    by_rank = bool(outcome.claim.ranks)
    filled = {name: short(item, lang, by_rank) for name, item in outcome.measured.items()}
    return words(outcome.claim, lang).number.format(**filled)


def figures(outcome: Outcome, lang: str) -> list[str]:
    """The measured values by their names in the experiment, as short as can be."""
    if outcome.fault:
        return [outcome.fault]
    return [f"{name} {short(item, lang)}" for name, item in outcome.measured.items()]


def short(item: Any, lang: str, by_rank: bool = False) -> str:
    """A measured value in a sentence: an error by its name alone."""
    if by_rank:
        said, values = SAID[lang], [short(each, lang) for each in cast("list[Any]", item)]
        if len(set(values)) == 1:
            return said["both"].format(value=values[0])
        each = [said["of rank"].format(value=value, n=n) for n, value in enumerate(values)]
        return said["join"].join(each)
    if isinstance(item, str):
        return SAID[lang]["no error"] if item == "no error" else ERROR.sub(r"\1", item)
    return full(item)


def full(item: Any) -> str:
    """A measured value as Python would write it, numbers with four digits, whole ones in full."""
    if isinstance(item, list):
        return "[" + ", ".join(full(each) for each in cast("list[Any]", item)) + "]"
    if isinstance(item, float):
        return str(int(item)) if item.is_integer() and abs(item) < WHOLE else number(item)
    return str(item)
