"""Lanes: the whole run below the code: calls, stretches where calls were not kept, values."""

from collections.abc import Callable
from itertools import pairwise

from steplens.model import event as ev
from steplens.model.course import Course, Span, Stretch, Surveyor
from steplens.model.report import Report

LANES = ("forward", "backward", "clear", "step")
WIDE = 8  # events missing in between that make a gap
SERIES = ("loss", "gradient", "ratio")


def course_of(report: Report) -> Course:
    """The report's course; for a file of an older version that of the events it kept."""
    if report.course.stretches or not report.timeline.events:
        return report.course
    course = Course()
    surveyor = Surveyor(course)
    for event in report.timeline.events:
        surveyor.hear(event)
    return course


def lanes(report: Report) -> dict[str, object]:
    """Everything below the code, by event number."""
    events = report.timeline.events
    gaps = _gaps(report)
    course = course_of(report)
    return {
        "last": report.timeline.last_index,
        "gaps": gaps,
        "calls": {
            kind: [event.index for event in events if ev.kind(event) == kind] for kind in LANES
        },
        "modes": _segments(report, ev.Mode, gaps),
        "grad": _segments(report, ev.GradMode, gaps),
        "width": course.width,
        "stretches": [
            [each.number * course.width, each.step, *(each.counts.get(kind, 0) for kind in LANES)]
            for each in course.stretches
        ],
        "series": {name: series for name in SERIES if (series := _series(course, name))},
        "rates": _rates(report, course),
    }


def _gaps(report: Report) -> list[list[int]]:
    """The first and the last event of each range in which events were not kept."""
    indices = sorted(event.index for event in report.timeline.events)
    return [
        [one + 1, next_one - 1]
        for one, next_one in pairwise(indices)
        if next_one > one + WIDE and one >= report.timeline.head[-1].index
    ]


def _series(course: Course, name: str) -> list[list[float | int | None]]:
    found: list[list[float | int | None]] = []
    for each in course.stretches:
        span = getattr(each, name)
        if span is not None:
            found.append(_point(each.number * course.width, span))
    return found


def _point(at: int, span: Span) -> list[float | int | None]:
    ends = (span.low, span.high, span.last)
    return [at, *(None if value is None else float(f"{value:.6g}") for value in ends)]


def _rates(report: Report, course: Course) -> list[dict[str, object]]:
    found: dict[str, list[list[float | int | None]]] = {}
    for each in course.stretches:
        for name, span in each.rates.items():
            found.setdefault(name, []).append(_point(each.number * course.width, span))
    out: list[dict[str, object]] = []
    for name, points in found.items():
        number, _, group = name.partition(".")
        entry = report.roster.optimizers.get(int(number))
        label = (entry.label or entry.type) if entry is not None else number
        several = entry is not None and len(entry.groups) > 1
        out.append({"name": f"{label}[{group}]" if several else label, "points": points})
    return out


def _segments(
    report: Report, kind: type[ev.Mode] | type[ev.GradMode], gaps: list[list[int]]
) -> list[list[int | str]]:
    """From which event on which state held: train, eval or both; on, off or both."""
    roots = {entry.root for entry in report.roster.tensors.values() if entry.root >= 0}
    modes = {
        number: entry.training for number, entry in report.roster.modules.items() if number in roots
    }
    on = True
    found: list[list[int | str]] = []

    def state() -> str:
        if kind is ev.GradMode:
            return "on" if on else "off"
        held = set(modes.values())
        return "both" if len(held) > 1 else "eval" if held == {False} else "train"

    def put(at: int, value: str) -> None:
        if not found or found[-1][1] != value:
            found.append([at, value])

    put(0, state())
    left = list(gaps)
    for event in report.timeline.events:
        while left and event.index > left[0][1]:
            _through(report, kind, left.pop(0), put)
        if isinstance(event, ev.Mode) and kind is ev.Mode:
            modes |= {number: event.training for number in event.switched if number in modes}
        elif isinstance(event, ev.GradMode) and kind is ev.GradMode:
            on = event.enabled
        elif isinstance(event, ev.Forward):
            if event.module in modes and kind is ev.Mode:
                modes[event.module] = event.training
            on = event.grad
        put(event.index, state())
    return found


def _through(report: Report, kind: type, gap: list[int], put: Callable[[int, str], None]) -> None:
    """The states in the gap, told from the forwards of each stretch."""
    width = report.course.width
    for each in report.course.stretches:
        at = each.number * width
        forwards = each.counts.get("forward", 0)
        if not forwards or at < gap[0] or at > gap[1]:
            continue
        less = each.dark if kind is ev.GradMode else each.evals
        words = ("on", "off") if kind is ev.GradMode else ("train", "eval")
        value = words[0] if not less else words[1] if less == forwards else "both"
        put(at, value)


def stretches(report: Report) -> list[Stretch]:
    """Those in which no event was kept."""
    width = report.course.width
    gaps = _gaps(report)
    return [
        each
        for each in report.course.stretches
        if any(
            first <= each.number * width and (each.number + 1) * width - 1 <= last
            for first, last in gaps
        )
    ]
