"""The timeline view: each line of the program that changed the state, and what changed."""

from collections.abc import Sequence

from steplens.model import event as ev
from steplens.model.report import Report
from steplens.model.site import Site
from steplens.model.state import Change, Digest
from steplens.views import calls
from steplens.views.paint import PLAIN, Look, Row, paint, plain
from steplens.views.speech import ENGLISH, Speech
from steplens.views.values import change, subject
from steplens.views.window import source_line

RUNS = 2  # like runs of one line that are shown
ROWS = 120  # events shown in all
WIDE = 110  # letters of a row above which a change takes two
PARTS = 10  # parts of the state shown under one line
CALLS = ("clear", "forward", "backward", "step", "mode", "write")
REASONS = {  # why the line-by-line detail ended
    "steps": "time.asked",
    "passes": "time.passes",
    "cost": "time.cost",
    "capture": "time.capture",
    "debugger": "time.debugger",
    "rest": "time.rest",
}


def render(report: Report, look: Look = PLAIN) -> str:
    """The lines that changed the state; the calls, where there was no line-by-line detail."""
    return paint(rows(report, Speech(look.lang)), look)


def lines(report: Report) -> list[ev.Event]:
    """The kept events that the timeline shows line by line: lines with changes, and a failure."""
    kept = report.timeline.events
    return [event for event in kept if isinstance(event, ev.Line | ev.Failure)]


def part(report: Report, events: Sequence[ev.Event], speech: Speech = ENGLISH) -> list[Row]:
    """Rows of some of the report's events alone, as those of one notebook cell: the lines that
    changed the state, or the calls where there is no line."""
    kept = [event for event in events if isinstance(event, ev.Line | ev.Failure)]
    if not any(isinstance(event, ev.Line) for event in kept):
        kept = [event for event in events if calls.shown(event)]
    files = {event.site.place.rpartition(":")[0] for event in kept if event.site}
    return _grouped(kept, report, files.pop() if len(files) == 1 else "", speech)


def rows(report: Report, speech: Speech = ENGLISH) -> list[Row]:
    """The view's rows, without colour yet."""
    by_line = any(isinstance(event, ev.Line) for event in lines(report))
    if by_line:
        kinds = ev.Line | ev.Failure | ev.Mark
        shown = [event for event in report.timeline.events if isinstance(event, kinds)]
        what = speech.say("time.lines", n=_count(report, "line"))
    else:
        shown = [event for event in report.timeline.events if calls.shown(event)]
        what = speech.say("time.calls", n=len(shown), why=report.window.ended)
    files = {event.site.file for event in shown if event.site}
    one = next(iter(files)) if len(files) == 1 else ""
    of = speech.say("time.of", program=one or report.program, what=what)
    out: list[Row] = [[(speech.say("time.head"), "strong"), (of, "plain")]]
    out += _grouped(shown, report, one, speech)
    return out + (_after_window(report, shown, speech) if by_line else [])


def _count(report: Report, kind: str) -> int:
    return report.timeline.counts.get(kind, 0)


def _grouped(shown: Sequence[ev.Event], report: Report, one: str, speech: Speech) -> list[Row]:
    """Rows of the events, with like runs of one line left out after the first ones."""
    out: list[Row] = []
    seen: dict[object, int] = {}
    left: list[ev.Event] = []
    step = drawn = 0
    for event in shown:
        key = _likeness(event)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > RUNS or drawn >= ROWS:
            left.append(event)
            continue
        out += _left_out(left, one, speech)
        left = []
        if event.step != step:
            step = event.step
            out.append([(speech.say("after", n=step, steps=step), "frame")])
        out += _event_rows(event, report, one, speech)
        drawn += 1
    return out + _left_out(left, one, speech)


def _likeness(event: ev.Event) -> object:
    """What two runs of one line must share to count as like: the parts changed, and how."""
    place = (event.site.file, event.site.cell, event.site.line) if event.site else None
    if isinstance(event, ev.Mark):
        return event.text
    if not isinstance(event, ev.Line):
        return (place, ev.kind(event), event.message if isinstance(event, ev.Failure) else "")
    return (place, frozenset((each.part, each.subject, _way(each)) for each in event.changes))


def _way(item: Change) -> object:
    if isinstance(item.before, Digest) or isinstance(item.after, Digest):
        return (item.before is None, item.after is None)
    return item.before if item.part in ("mode", "grad-mode", "trainable") else None


def _left_out(left: Sequence[ev.Event], one: str, speech: Speech) -> list[Row]:
    if not left:
        return []
    say = speech.say
    places = list(dict.fromkeys(_place(event.site, one, speech) for event in left))
    named, rest = ", ".join(places[:6]), len(places) - 6
    named = say("time.more-places", names=named, n=rest) if rest > 0 else named
    first, last = left[0].step, left[-1].step
    when = say("after", n=last, steps=last)
    if first != last:
        when = say("time.after-range", least=first, most=last)
    lines = all(isinstance(event, ev.Line) for event in left)
    key = "time.runs-left" if lines else "time.calls-left"
    return [[(say(key, n=len(left), places=named, when=when), "faint")]]


def _place(site: Site | None, one: str, speech: Speech) -> str:
    if site is None:
        return speech.say("nowhere")
    if site.file == one or site.place.startswith(f"{one}:"):
        return site.place.removeprefix(one)
    return site.place


def _event_rows(event: ev.Event, report: Report, one: str, speech: Speech) -> list[Row]:
    if isinstance(event, ev.Mark):
        return [[(f"  -- {event.text}", "faint")]]
    code = source_line(report.sources, event.site) if event.site else None
    head: Row = [(f"  {_place(event.site, one, speech):<7} ", "frame")]
    if isinstance(event, ev.Line):
        return [[*head, (code or "", "strong")], *_change_rows(event.changes, speech)]
    says = calls.words(event, report.roster, speech)
    style = "error" if isinstance(event, ev.Failure) else "plain"
    if code is None:
        return [[*head, (says, style)]]
    return [[*head, (code, "strong")], [("      ", "plain"), (says, style)]]


def _change_rows(changes: Sequence[Change], speech: Speech) -> list[Row]:
    shown = changes if len(changes) <= PARTS + 1 else changes[:PARTS]
    width = min(max((len(subject(item)) for item in shown), default=0), 48)
    out = [row for item in shown for row in _change(item, width)]
    rest = changes[len(shown) :]
    if rest:
        kinds: dict[str, int] = {}
        for item in rest:
            kinds[item.part] = kinds.get(item.part, 0) + 1
        named = ", ".join(f"{count} {part}" for part, count in kinds.items())
        out.append([(speech.say("time.more-parts", n=len(rest), named=named), "faint")])
    return out


def _change(item: Change, width: int) -> list[Row]:
    """A change on one row, or on two when both sides are long."""
    name, both = f"      {subject(item):<{width}}  ", change(item)
    before, arrow, after = both.partition(" -> ")
    if len(name) + len(both) <= WIDE:
        return plain(name + both)
    return plain(name + before, " " * (len(name) - 3) + f"{arrow.strip()} {after}")


def _after_window(report: Report, shown: Sequence[ev.Event], speech: Speech) -> list[Row]:
    """What came after the line-by-line window, in counts; nothing when it reached the end."""
    say, window = speech.say, report.window
    last = max((event.step for event in shown), default=0)
    out: list[Row] = []
    if window.rested and window.ended != "rest":
        out += plain(say("time.rested"))
    if window.reason in REASONS and (report.steps > last or window.ended == "rest"):
        counts = [(kind, _count(report, kind)) for kind in CALLS]
        named = ", ".join(f"{count} {say(f'order.{kind}')}" for kind, count in counts if count)
        kept, steps = (say("n.steps", n=number) for number in (window.kept, report.steps))
        why = say(REASONS[window.reason], steps=kept, asked=window.asked)
        out += plain(say("time.ended", why=why, steps=steps, named=named))
    if report.timeline.dropped:
        out += plain(say("time.dropped", n=report.timeline.dropped))
    return out
