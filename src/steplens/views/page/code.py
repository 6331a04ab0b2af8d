"""Code: the user's files as highlighted lines, with how often each ran and what its calls did."""

from collections.abc import Iterator

from steplens.model.report import Report
from steplens.views.page.places import Places

Spans = list[str]  # a class and a text, in turn

MOST_LINES = 4000  # of one file


def sources(report: Report, places: Places) -> list[dict[str, object]]:
    """Every file of the report."""
    return [_file(report, places, number) for number in range(len(places.keys))]


def _file(report: Report, places: Places, number: int) -> dict[str, object]:
    key = places.keys[number]
    runs: dict[int, int] = {}
    for place, count in zip(report.trail.lines, report.trail.runs, strict=True):
        spot = places.at(place)
        if spot is not None and spot[0] == number:
            runs[spot[1]] = count
    calls: dict[int, dict[str, int]] = {}
    for place, kinds in report.course.calls.items():
        spot = places.at(place)
        if spot is not None and spot[0] == number:
            calls[spot[1]] = kinds
    text = report.sources.get(key, "")
    lines = list(highlighted(text)) if text else []
    return {
        "title": places.title(number),
        "lines": lines[:MOST_LINES],
        "more": max(len(lines) - MOST_LINES, 0),
        "text": bool(text),
        "runs": runs,
        "calls": calls,
    }


def highlighted(text: str) -> Iterator[Spans]:
    """The lines of Python source, each as classes and texts in turn ('' for plain text)."""
    from pygments.lexers import find_lexer_class_by_name

    line: Spans = []
    lexer = find_lexer_class_by_name("python")(stripnl=False, ensurenl=False)
    for kind, value in lexer.get_tokens(text):
        name = _class(str(kind))
        for position, part in enumerate(value.split("\n")):
            if position:
                yield line
                line = []
            if not part:
                continue
            if line and line[-2] == name:
                line[-1] += part
            else:
                line += [name, part]
    if line:
        yield line


CLASSES = (
    ("Token.Keyword", "k"), ("Token.Operator.Word", "k"), ("Token.Comment", "c"),
    ("Token.Literal.String", "s"), ("Token.Literal.Number", "n"), ("Token.Name.Function", "f"),
    ("Token.Name.Class", "f"), ("Token.Name.Decorator", "d"), ("Token.Name.Builtin", "b"),
)  # fmt: skip


def _class(kind: str) -> str:
    """Pygments' token type as one of the page's few classes."""
    return next((name for prefix, name in CLASSES if kind.startswith(prefix)), "")
