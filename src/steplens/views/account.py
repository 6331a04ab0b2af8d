"""The account that opens every report: what trained, what did not, in which order and modes."""

import re

from steplens.model.chronicle import Loss
from steplens.model.report import Report
from steplens.prose import cells, padded, wrapped
from steplens.views.fates import FateRow, Words
from steplens.views.order import MODES, ORDER, modes, order, verdict
from steplens.views.paint import Row, Span
from steplens.views.speech import ENGLISH, Speech
from steplens.views.values import number

HEAD = 11  # cells of the headings' column
WIDE = 100
OF_VALUES = ("SL601", "SL607")  # of SL6, what is said of the loss's own value
NAMES = 36  # cells up to which names are aligned
LOSSES = 3  # lines with a backward that are shown
NAMED = 4  # codes of rules named in a row


def account_rows(report: Report, speech: Speech = ENGLISH) -> list[Row]:
    """The account; one row for a run that trained nothing."""
    account, say = report.account, speech.say
    if not account.backwards and not account.steps:
        nothing = say("nothing-trained" if report.torch else "nothing-no-torch")
        return [_row(say("head.trained"), [(nothing, "plain")])]
    words = Words(report, speech)
    rows = _fates(words.rows())
    rows += _judged(say("head.order"), order(report, speech), verdict(report, "SL2", ORDER), speech)
    said = modes(report, speech)
    if said:
        rows += _judged(say("head.modes"), [said], verdict(report, "SL1", MODES), speech)
    rows += _losses(report, words)
    return rows + _unlooked(report, speech)


def account_lines(report: Report, speech: Speech = ENGLISH) -> list[str]:
    """The account as plain lines."""
    return ["".join(text for text, _ in row).rstrip() for row in account_rows(report, speech)]


def _row(head: str, spans: list[Span]) -> Row:
    return [(padded(head, HEAD - 1) + " ", "strong"), *spans]


def _fates(rows: list[FateRow]) -> list[Row]:
    """Names and counts one under the other; what is said breaks over rows where it is long."""
    names = min(max((cells(row.names) for row in rows), default=0), NAMES)
    counts = max((cells(row.count) for row in rows), default=0)
    out: list[Row] = []
    for row in rows:
        indent = " " * (counts - cells(row.count))
        line = f"{padded(row.names, names)}   {indent}{row.count}"
        said = [(text, "plain") for text in row.said] + [(code, "warning") for code in row.codes]
        out += _wrapped(row.head, line, said)
    return out


def _wrapped(head: str, line: str, said: list[Span]) -> list[Row]:
    out = [_row(head, [(line, "plain")])]
    wide = HEAD + cells(line)
    room = WIDE - HEAD - 2
    pieces = [(piece, style) for text, style in said for piece in wrapped(text, room)]
    for text, style in pieces:
        if wide + 3 + cells(text) > WIDE:
            out.append([(" " * (HEAD + 2), "plain"), (text, style)])
            wide = HEAD + 2 + cells(text)
        else:
            out[-1] += [("   ", "plain"), (text, style)]
            wide += 3 + cells(text)
    return out


def _judged(head: str, lines: list[str], said: str, speech: Speech) -> list[Row]:
    """Lines under one heading, the verdict after the last."""
    end: list[Span] = [("   ", "plain"), (said, "warning")] if said else []
    if said == "fine":
        end = [(speech.say("colon"), "plain"), (speech.say("fine"), "help")]
    room = 3 + (cells(end[-1][0]) if end else 0)
    rows: list[Row] = []
    for line in lines:
        rows += _broken(head if not rows else "", line, room)
    rows[-1] += end
    return rows


def _broken(head: str, text: str, room: int = 0) -> list[Row]:
    """A text over as many rows as it takes, with room for some cells after the last."""
    first, *rest = wrapped(text, WIDE - HEAD - room)
    return [_row(head, [(first, "plain")]), *(_row("", [("  " + each, "plain")]) for each in rest)]


def _losses(report: Report, words: Words) -> list[Row]:
    say = words.say
    losses = sorted(report.account.losses, key=lambda loss: -loss.times)
    found = [f.code for f in report.findings if f.code[:3] == "SL5" or f.code in OF_VALUES]
    codes = " ".join(dict.fromkeys(found))
    rows: list[Row] = []
    for loss in losses[:LOSSES]:
        where = words.line(loss.site, report.program) if len(losses) > 1 else ""
        text = say("comma").join(filter(None, [value(loss, words), made(loss, words)]))
        lead = say("loss.of", where=where) if where else ""
        rows += _broken(say("head.loss") if not rows else "", lead + text, len(codes) + 3)
    if len(losses) > LOSSES:
        rows.append(_row("", [(say("loss.others", n=len(losses) - LOSSES), "plain")]))
    if rows and codes:
        rows[-1] += [("   " + codes, "warning")]
    return rows


def value(loss: Loss, words: Words) -> str:
    """The first and the last value looked at, and how often it was."""
    say = words.say
    if not loss.looks:
        return say("loss.unlooked")
    first, last = (
        say("non-finite") if end is None else number(end) for end in (loss.first, loss.last)
    )
    steps = {"least": loss.first_step, "most": loss.last_step}
    text = say("loss.ends", first=first, last=last, **steps)
    if loss.looks == 1:
        text = say("loss.once", value=first, step=loss.first_step)
    bad = say("loss.bad", bad=loss.bad, n=loss.looks) if loss.bad else ""
    few = loss.looks < loss.times
    return text + bad + (say("loss.few", looks=loss.looks, times=loss.times) if few else "")


def made(loss: Loss, words: Words) -> str:
    """How a loss was made."""
    if not loss.ops:
        return words.say("loss.leaf") if loss.leaf else ""
    return words.say("loss.made", operations=operations(loss, words))


def operations(loss: Loss, words: Words) -> str:
    """The operations that made a loss, the last one first, and their place."""
    line = words.line(loss.at, words.report.program)
    where = words.say("loss.at", where=line) if line else ""
    return words.say("loss.of-op").join(spoken(name) for name in loss.ops[:3]) + where


def spoken(operation: str) -> str:
    """torch's name of a graph node as its function is called: `nll_loss` of `NllLossBackward0`."""
    stem = re.sub(r"Backward\d*$", "", operation)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", stem).lower()


def untold(report: Report, speech: Speech) -> list[str]:
    """What this torch does not tell of graphs: 2.4 no shapes (their nodes have no
    ``_input_metadata`` there)."""
    if not report.torch.startswith("2.4."):
        return []
    return [speech.say("unlooked.shapes", torch=report.torch.partition("+")[0])]


def _unlooked(report: Report, speech: Speech) -> list[Row]:
    """What the account does not cover."""
    say, unseen = speech.say, len(report.not_seen)
    parts = [say("unlooked.ranks")]
    parts.append(say("unlooked.regions", n=unseen) if unseen else say("unlooked.no-regions"))
    steps = sum(report.account.steps.values())
    blind = steps - report.account.looks
    if blind > 0:
        parts.append(say("unlooked.values", blind=blind, n=steps))
    parts += untold(report, speech)
    idle = report.rules.nothing_to_look_at
    if idle:
        named, rest = ", ".join(idle[:NAMED]), len(idle) - NAMED
        named = say("and-more", names=named, n=rest) if rest > 0 else named
        parts.append(say("unlooked.rules", named=named))
    pieces = wrapped(say("comma").join(parts), WIDE - 15)
    heads = [say("unlooked")] + [" " * HEAD + "  "] * (len(pieces) - 1)
    return [[(head, "strong"), (piece, "plain")] for head, piece in zip(heads, pieces, strict=True)]
