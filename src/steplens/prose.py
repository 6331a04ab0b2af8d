"""Prose on a terminal, English or Chinese: how wide it is, and where its lines may break."""

import re
import unicodedata
from collections.abc import Iterator

LONG_CODE = 40  # cells of a span of code from which on it may break at its spaces
WIDE = r"\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"  # letters between which a line may break
CLOSING = "，。；：、！？）》」”"  # never at the beginning of a line
WORD = re.compile(rf"(\s*)([（《「“]*(?:(?:`[^`]*`|[^\s`{WIDE}“”])+|[{WIDE}“”])[{CLOSING}]*)")


def cells(text: str) -> int:
    """The width of text on a terminal: East Asian letters take two cells, combining marks none."""
    return sum(
        0
        if unicodedata.combining(letter)
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )


def padded(text: str, width: int) -> str:
    """Text followed by spaces up to a width in cells."""
    return text + " " * (width - cells(text))


def wrapped(text: str, width: int) -> list[str]:
    """Text in lines of at most ``width`` cells; Chinese breaks between letters, short code not."""
    lines = [""]
    for space, word in _words(text):
        gap = " " if space and lines[-1] else ""
        if lines[-1] and cells(lines[-1]) + len(gap) + cells(word) > width:
            lines.append(word)
        else:
            lines[-1] += gap + word
    return lines


def _words(text: str) -> Iterator[tuple[str, str]]:
    """What may not be broken, each with the space before it."""
    for space, word in WORD.findall(text):
        first, *rest = word.split(" ") if cells(word) > LONG_CODE else [word]
        yield space, first
        yield from ((" ", each) for each in rest)
