"""What a claim is: a sentence about torch, the experiment that decides it, and how it decides."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter
from typing import Any

Measured = Mapping[str, Any]
"""What an experiment returned: numbers, lists and words by name; one of each for each rank."""

MOST_LINES = 9  # of an experiment: what is longer is two claims


class Verdict(StrEnum):
    """What an experiment said of a claim. UNDECIDED: it could not run here."""

    HOLDS = "holds"
    ONLY_IF = "holds only if"
    NOT = "does not hold"
    UNDECIDED = "not decided"


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence about torch, and the experiment that decides it on the installed version.

    ``holds`` takes what the experiment measured, by name, and says whether the sentence is true of
    it. A claim with a condition measures both sides: ``holds`` looks where ``only_if`` is met,
    ``elsewhere`` where it is not. ``number`` is what is measured in a few words, with the measured
    names in braces; ``truth`` what one may rely on. ``note`` is the note of the reference notebook
    that it decides, ``ranks`` the number of processes it needs (0: this one).
    """

    name: str
    group: str
    sentence: str
    number: str
    truth: str
    experiment: Callable[[], Measured]
    holds: Callable[..., bool]
    elsewhere: Callable[..., bool] | None = None
    only_if: str = ""
    note: int | None = None
    ranks: int = 0

    def decide(self, measured: Measured) -> Verdict:
        """The verdict that these measurements give. Raises KeyError when one is missing."""
        if not true(self.holds, measured):
            return Verdict.NOT
        if self.elsewhere is not None and not true(self.elsewhere, measured):
            return Verdict.ONLY_IF
        return Verdict.HOLDS


def claim(
    sentence: str,
    *,
    number: str,
    truth: str,
    holds: Callable[..., bool],
    only_if: str = "",
    elsewhere: Callable[..., bool] | None = None,
    note: int | None = None,
    ranks: int = 0,
) -> Callable[[Callable[[], Measured]], Claim]:
    """Make a Claim of an experiment: a function without arguments that returns what it measured.

    The claim is named for the function, and belongs to the group named for its module. Raises
    ValueError for a claim that is not complete or an experiment that is too long.
    """

    def make(experiment: Callable[[], Measured]) -> Claim:
        name = experiment.__name__.replace("_", "-")
        for field, text in (("sentence", sentence), ("truth", truth)):
            if not text.endswith(".") or text != text.strip():
                raise ValueError(f"{name}: its {field} is {text!r}; a sentence ends with a stop")
        if not fields(number) or number.endswith("."):
            raise ValueError(f"{name}: its number is {number!r}; it names what is measured: {{x}}")
        if bool(only_if) != (elsewhere is not None):
            raise ValueError(f"{name}: `only_if` and `elsewhere` go together")
        if count(experiment) > MOST_LINES:
            raise ValueError(
                f"{name}: {count(experiment)} lines; at most {MOST_LINES} are accepted"
            )
        group = experiment.__module__.rpartition(".")[2].replace("_", "-")
        return Claim(
            name, group, sentence, number, truth, experiment, holds, elsewhere, only_if, note, ranks
        )

    return make


def fields(template: str) -> set[str]:
    """The measured names that a ``number`` shows."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def count(experiment: Callable[[], Measured]) -> int:
    """The lines of a function's body that hold code."""
    code = experiment.__code__
    return len({line for line in _lines(code) if line is not None and line > code.co_firstlineno})


def _lines(code: Any) -> list[int | None]:
    found = [line for _, _, line in code.co_lines()]
    for inner in code.co_consts:
        if inspect.iscode(inner):
            found += _lines(inner)
    return found


def true(holds: Callable[..., bool], measured: Measured) -> bool:
    """What a deciding function says of what was measured."""
    return bool(holds(**{name: measured[name] for name in inspect.signature(holds).parameters}))
