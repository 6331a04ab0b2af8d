"""The account that opens every report: what trained, what did not, in which order and modes."""

import re
from textwrap import wrap

from steplens.model.chronicle import Loss
from steplens.model.report import Report
from steplens.views.fates import FateRow, Words
from steplens.views.order import MODES, ORDER, modes, order, verdict
from steplens.views.paint import Row, Span
from steplens.views.summary import counted
from steplens.views.values import number

HEAD = 11  # letters of the headings' column
WIDE = 100
OF_VALUES = ("SL601", "SL607")  # of SL6, what is said of the loss's own value
NAMES = 36  # letters up to which names are aligned
LOSSES = 3  # lines with a backward that are shown
NAMED = 4  # codes of rules named in a row


def account_rows(report: Report) -> list[Row]:
    """The account; one row for a run that trained nothing."""
    account = report.account
    if not account.backwards and not account.steps:
        return [_row("trained", [(_nothing(report), "plain")])]
    words = Words(report)
    rows = _fates(words.rows())
    rows += _judged("order", order(report), verdict(report, "SL2", ORDER))
    said = modes(report)
    if said:
        rows += _judged("modes", [said], verdict(report, "SL1", MODES))
    rows += _losses(report, words)
    return rows + _unlooked(report)


def account_lines(report: Report) -> list[str]:
    """The account as plain lines."""
    return ["".join(text for text, _ in row).rstrip() for row in account_rows(report)]


def _nothing(report: Report) -> str:
    if not report.torch:
        return "nothing: the program did not import torch"
    return "nothing: no backward pass and no optimizer step"


def _row(head: str, spans: list[Span]) -> Row:
    return [(f"{head:<{HEAD - 1}} ", "strong"), *spans]


def _fates(rows: list[FateRow]) -> list[Row]:
    """Names and counts one under the other; what is said breaks over rows where it is long."""
    names = min(max((len(row.names) for row in rows), default=0), NAMES)
    counts = max((len(row.count) for row in rows), default=0)
    out: list[Row] = []
    for row in rows:
        line = f"{row.names:<{names}}   {row.count:>{counts}}"
        said = [(text, "plain") for text in row.said] + [(code, "warning") for code in row.codes]
        out += _wrapped(row.head, line, said)
    return out


def _wrapped(head: str, line: str, said: list[Span]) -> list[Row]:
    out = [_row(head, [(line, "plain")])]
    wide = HEAD + len(line)
    room = WIDE - HEAD - 2
    pieces = [
        (piece, style)
        for text, style in said
        for piece in (wrap(text, room, break_on_hyphens=False) if len(text) > room else [text])
    ]
    for text, style in pieces:
        if wide + 3 + len(text) > WIDE:
            out.append([(" " * (HEAD + 2), "plain"), (text, style)])
            wide = HEAD + 2 + len(text)
        else:
            out[-1] += [("   ", "plain"), (text, style)]
            wide += 3 + len(text)
    return out


def _judged(head: str, lines: list[str], said: str) -> list[Row]:
    """Lines under one heading, the verdict after the last."""
    rows: list[Row] = []
    for line in lines:
        rows += _broken(head if not rows else "", line, len(said) + 3)
    if said:
        style, between = ("help", ": ") if said == "fine" else ("warning", "   ")
        rows[-1] += [(between, "plain"), (said, style)]
    return rows


def _broken(head: str, text: str, room: int = 0) -> list[Row]:
    """A text over as many rows as it takes, with room for some letters after the last."""
    pieces = wrap(text, WIDE - HEAD - room, break_long_words=False, break_on_hyphens=False)
    rows = [_row(head, [(pieces[0], "plain")])]
    return rows + [_row("", [("  " + piece, "plain")]) for piece in pieces[1:]]


def _losses(report: Report, words: Words) -> list[Row]:
    losses = sorted(report.account.losses, key=lambda loss: -loss.times)
    found = [f.code for f in report.findings if f.code[:3] == "SL5" or f.code in OF_VALUES]
    codes = " ".join(dict.fromkeys(found))
    rows: list[Row] = []
    for loss in losses[:LOSSES]:
        where = words.line(loss.site, report.program) if len(losses) > 1 else ""
        text = ", ".join(filter(None, [value(loss), made(loss, words)]))
        lead = f"of {where}: " if where else ""
        rows += _broken("loss" if not rows else "", lead + text, len(codes) + 3)
    if len(losses) > LOSSES:
        rest = counted(len(losses) - LOSSES, "other line")
        rows.append(_row("", [(f"backward was called at {rest} too", "plain")]))
    if rows and codes:
        rows[-1] += [("   " + codes, "warning")]
    return rows


def value(loss: Loss) -> str:
    """The first and the last value looked at, and how often it was."""
    if not loss.looks:
        return "never looked at"
    ends = [_shown(loss.first), _shown(loss.last)]
    steps = f"step {loss.first_step} to {loss.last_step}"
    once = loss.looks == 1
    words = f"{ends[0]} at step {loss.first_step}" if once else f"{' -> '.join(ends)}, {steps}"
    words += f", not finite at {loss.bad} of {counted(loss.looks, 'look')}" if loss.bad else ""
    few = loss.looks < loss.times
    return words + (f" (looked at {loss.looks} of {loss.times} times)" if few else "")


def _shown(item: float | None) -> str:
    return "not finite" if item is None else number(item)


def made(loss: Loss, words: Words) -> str:
    """The operations that made a loss, the last one first."""
    if not loss.ops:
        return "a plain tensor: no operation made it" if loss.leaf else ""
    names = " of ".join(spoken(name) for name in loss.ops[:3])
    where = words.line(loss.at, words.report.program)
    return f"made by {names}" + (f" at {where}" if where else "")


def spoken(operation: str) -> str:
    """torch's name of a graph node as its function is called: `nll_loss` of `NllLossBackward0`."""
    stem = re.sub(r"Backward\d*$", "", operation)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", stem).lower()


def _unlooked(report: Report) -> list[Row]:
    """What the account does not cover."""
    regions = f"{len(report.not_seen)}, named below" if report.not_seen else "none"
    parts = ["other ranks (this process only)", f"compiled regions ({regions})"]
    steps = sum(report.account.steps.values())
    blind = steps - report.account.looks
    if blind > 0:
        parts.append(f"values at {blind} of {counted(steps, 'step')}")
    idle = report.rules.nothing_to_look_at
    if idle:
        named = ", ".join(idle[:NAMED]) + (f" and {len(idle) - NAMED} more" if idle[NAMED:] else "")
        parts.append(f"rules without data ({named})")
    pieces = wrap(", ".join(parts), WIDE - 15, break_long_words=False, break_on_hyphens=False)
    heads = ["not looked at: "] + [" " * HEAD + "  "] * (len(pieces) - 1)
    return [[(head, "strong"), (piece, "plain")] for head, piece in zip(heads, pieces, strict=True)]
