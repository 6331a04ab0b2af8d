"""Stops: the positions of the page. A line's calls and what they changed are one stop."""

from dataclasses import dataclass, field

from steplens.model import event as ev
from steplens.model.report import Report
from steplens.model.site import Site
from steplens.views import calls


@dataclass(slots=True)
class Stop:
    """One position: the events ``first`` to ``last``, all of one line.

    ``calls`` are those that have words, ``line`` what they changed where lines were followed,
    ``notes`` events that were noticed by now and happened earlier. ``after`` is the index of the
    last event shown here or since the stop before.
    """

    first: int
    last: int
    step: int
    site: Site | None
    calls: list[ev.Event] = field(default_factory=list[ev.Event])
    line: ev.Line | None = None
    notes: list[ev.Event] = field(default_factory=list[ev.Event])
    values: ev.Values | None = None


def stops(report: Report) -> list[Stop]:
    """The stops of a report's kept events, in order."""
    found: list[Stop] = []
    notes: list[ev.Event] = []
    by_line = any(isinstance(event, ev.Line) for event in report.timeline.events)
    places: dict[int, Stop] = {}  # events of the last stops, for readings that come later
    for event in report.timeline.events:
        last = found[-1] if found else None
        if isinstance(event, ev.Line):
            if last is None or last.line is not None or not _same(last.site, event.site):
                last = _new(found, event)
            last.line, last.last = event, event.index
            last.notes += notes
            notes = []
        elif isinstance(event, ev.Values):
            read_of = places.get(event.of)
            if read_of is not None:
                read_of.values = event
        elif isinstance(event, ev.Write) and by_line and _told_by_a_line(event, report):
            notes.append(event)
        elif calls.shown(event):
            if last is None or last.line is not None or not _same(last.site, event.site):
                last = _new(found, event)
            last.calls.append(event)
            last.last = event.index
            last.notes += notes
            notes = []
            places[event.index] = last
    return found


def _new(found: list[Stop], event: ev.Event) -> Stop:
    found.append(Stop(event.index, event.index, event.step, event.site))
    return found[-1]


def _same(one: Site | None, other: Site | None) -> bool:
    """Whether two places are one line."""
    if one is None or other is None:
        return one is other
    return (one.file, one.cell, one.line) == (other.file, other.cell, other.line)


def _told_by_a_line(event: ev.Write, report: Report) -> bool:
    """Whether a write, which is heard late, lies in the window, where its own line tells of it."""
    return event.step <= report.window.kept
