"""Spans of text with a style each, and how they become plain or coloured text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Protocol

from steplens.model.report import Report

Span = tuple[str, str]  # text, style
Row = list[Span]

STYLES = {
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
    "help": "bold green",
    "frame": "blue",
    "faint": "bright_black",
    "strong": "bold",
    "plain": "",
}

CSS = {
    "error": "font-weight:bold;color:#c62828",
    "warning": "font-weight:bold;color:#b26a00",
    "note": "font-weight:bold;color:#00838f",
    "help": "font-weight:bold;color:#2e7d32",
    "frame": "color:#5c7cfa",
    "faint": "opacity:.6",
    "strong": "font-weight:bold",
    "plain": "",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a view is wanted.

    In colour or not, ``brief`` (findings without the account), and with the rules' pages by code,
    which SARIF carries, in the language ``lang``.
    """

    color: bool = False
    brief: bool = False
    pages: Mapping[str, str] = field(default_factory=dict[str, str])
    lang: str = "en"


PLAIN = Look()


class View(Protocol):
    """A Report as text; plain and in full unless ``look`` says otherwise."""

    def __call__(self, report: Report, look: Look = PLAIN) -> str: ...


def plain(*rows: str) -> list[Row]:
    """Rows without any style."""
    return [[(row, "plain")] for row in rows]


# what moves the cursor, recolours or turns the text of a terminal around
CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
} | {code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def harmless(text: str) -> str:
    """The text with its control characters spelt out: a name or a line of source in a report may
    hold some, and what is printed must not act on the terminal."""
    return text.translate(CONTROLS)


def as_html(rows: Iterable[Row]) -> str:
    """The rows as one block of HTML, in the page's own colours."""
    from html import escape

    spans = (
        "".join(
            f'<span style="{CSS[style]}">{escape(text)}</span>' if CSS[style] else escape(text)
            for text, style in row
        )
        for row in rows
    )
    return '<pre style="line-height:1.3;font-size:90%">' + "\n".join(spans) + "</pre>"


def paint(rows: Iterable[Row], look: Look) -> str:
    """The rows as text that ends in a newline; plain unless colour is wanted."""
    rows = [[(harmless(text), style) for text, style in row] for row in rows]
    if not look.color:
        return "".join("".join(text for text, _ in row).rstrip() + "\n" for row in rows)
    from rich.console import Console
    from rich.text import Text

    console = Console(
        file=StringIO(), force_terminal=True, color_system="standard", no_color=False,
        highlight=False, soft_wrap=True, legacy_windows=False, _environ={"TERM": "xterm"},
    )  # fmt: skip
    for row in rows:
        console.print(Text.assemble(*((text, STYLES[style]) for text, style in row)), end="\n")
    return console.file.getvalue()  # type: ignore[attr-defined]
