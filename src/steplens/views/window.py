"""Windows of the user's own code, with labels under carets."""

from dataclasses import dataclass

from steplens.model.site import Site
from steplens.prose import cells
from steplens.views.paint import Row

TAB = 4
NEAR = 1  # lines between two marks that are shown rather than cut


@dataclass(frozen=True, slots=True)
class Mark:
    """A place and what is said of it; the primary one has carets, others have dashes."""

    at: Site
    label: str
    primary: bool


def source_key(site: Site) -> str:
    """The name of a site's source text in ``Report.sources``."""
    return f"{site.file}[{site.cell}]" if site.cell else site.file


def source_line(sources: dict[str, str], site: Site) -> str | None:
    """The line of code at a site, without its indentation; None when it is not known."""
    lines = sources.get(source_key(site), "").splitlines()
    return lines[site.line - 1].strip() if 0 < site.line <= len(lines) else None


def windows(marks: list[Mark], sources: dict[str, str], severity: str) -> list[Row]:
    """The windows of all marks, one per file, that of the primary mark first.

    A mark whose source is not in the report becomes a line with its place and its label.
    """
    files: dict[str, list[Mark]] = {}
    for mark in marks:
        files.setdefault(source_key(mark.at), []).append(mark)
    width = max((len(str(mark.at.line)) for mark in marks), default=1)
    rows: list[Row] = []
    for position, (key, group) in enumerate(files.items()):
        lead = next((mark for mark in group if mark.primary), group[0])
        arrow = "-->" if position == 0 else ":::"
        place = f"{lead.at.place}:{lead.at.column}"
        rows.append([(" " * width + arrow, "frame"), (" " + place, "plain")])
        text = sources.get(key)
        rows += _one(group, text.splitlines() if text else [], width, severity)
    return rows


def _one(marks: list[Mark], text: list[str], width: int, severity: str) -> list[Row]:
    shown = [mark for mark in marks if 0 < mark.at.line <= len(text)]
    rows: list[Row] = []
    if shown:
        rows.append(_bar(width))
        last = 0
        for line in sorted({mark.at.line for mark in shown}):
            if last and line - last > NEAR + 1:
                rows.append([("...", "frame")])
            elif last:
                rows += [_code(between, text, width) for between in range(last + 1, line)]
            rows.append(_code(line, text, width))
            here = [mark for mark in shown if mark.at.line == line]
            for mark in sorted(here, key=lambda mark: (not mark.primary, mark.at.column)):
                rows.append(_caret(mark, text[line - 1], width, severity))
            last = line
    for mark in marks:
        if mark not in shown and mark.label:
            rows.append(
                [(" " * (width + 1) + "= ", "frame"), (f"{mark.at.place}: {mark.label}", "plain")]
            )
    rows.append(_bar(width))
    return rows


def _bar(width: int) -> Row:
    return [(" " * (width + 1) + "|", "frame")]


def _code(line: int, text: list[str], width: int) -> Row:
    code = text[line - 1].expandtabs(TAB).rstrip()
    return [(f"{line:>{width}} |", "frame"), (f" {code}" if code else "", "plain")]


def _caret(mark: Mark, line: str, width: int, severity: str) -> Row:
    begin = max(mark.at.column - 1, 0)
    if mark.at.end_line == mark.at.line and mark.at.end_column > mark.at.column:
        end = mark.at.end_column - 1
    else:
        begin = begin or len(line) - len(line.lstrip())
        end = len(line.rstrip())
    left = cells(line[:begin].expandtabs(TAB))
    long = max(cells(line[:end].expandtabs(TAB)) - left, 1)
    style = severity if mark.primary else "frame"
    drawn = ("^" if mark.primary else "-") * long
    label = f" {mark.label}" if mark.label else ""
    return [(" " * (width + 1) + "| ", "frame"), (" " * left, "plain"), (drawn + label, style)]
