"""The page's data: everything that page.js shows, within a bound of bytes."""

import json
import re
from collections.abc import Mapping
from typing import cast as as_a

from steplens.model import event as ev
from steplens.model.course import Stretch
from steplens.model.report import Report
from steplens.views.page import code, findings, lanes, state, stops, summary
from steplens.views.page.cast import Cast
from steplens.views.page.places import Places
from steplens.views.page.sentences import Sentences
from steplens.views.speech import Speech
from steplens.views.values import number

LARGEST = 5_000_000  # bytes of data in a page
NOTES = 3  # writes heard late that are told at one stop
FEWEST = 200  # stops that are always kept

# control, invisible and direction-changing characters are shown by their number: what is on the
# page is what is in the file
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def page_data(
    report: Report, lang: str, pages: Mapping[str, str], largest: int = LARGEST
) -> tuple[str, Speech]:
    """The data as JSON that may stand inside a script element, and the speech it is in.

    What does not fit is left out, histograms first, then stops from the middle, and the page says
    so.
    """
    speech = Speech(lang)
    found = stops.stops(report)
    text = _text(_data(report, speech, pages, found))
    if len(text) <= largest:
        return text, speech
    keep = len(found)
    text = _text(_data(report, speech, pages, found, bars=False))
    while len(text) > largest and keep > FEWEST:
        keep = max(FEWEST, keep * 3 // 4)
        kept = _thinned(found, keep, {each.event for each in report.findings})
        text = _text(_data(report, speech, pages, kept, bars=False, whole=len(found)))
    return text, speech


def _thinned(found: list[stops.Stop], keep: int, events: set[int]) -> list[stops.Stop]:
    """The first stops, the last ones, and those of findings."""
    head, tail = keep * 9 // 10, len(found) - keep // 10
    return [
        stop
        for position, stop in enumerate(found)
        if position < head
        or position >= tail
        or any(stop.first <= event <= stop.last for event in events)
    ]


def _data(
    report: Report,
    speech: Speech,
    pages: Mapping[str, str],
    found: list[stops.Stop],
    *,
    bars: bool = True,
    whole: int = 0,
) -> dict[str, object]:
    places = Places(report, speech)
    sentences = Sentences(report, speech, places)
    cast = Cast(report)
    states = state.States(report, cast, bars)
    states.run(found)
    follow = _Follow(report, places)
    missing = _missing(report)
    order = sorted([*enumerate(found), *missing], key=lambda pair: pair[1].first)
    positions: list[dict[str, object]] = []
    state_at = -1
    for which, stop in order:
        if isinstance(which, int):
            state_at = which
            row = _row(stop, places, sentences, follow)
        else:
            row = _stretch(which, stop)
        positions.append(row | {"state": state_at})
    head = summary.head(report, speech)
    left = [speech.say("thinned", n=whole - len(found), of=whole)] if whole else []
    left += [speech.say("models-left", n=cast.left)] if cast.left else []
    left += [speech.say("tensors-left", n=cast.tensors_left)] if cast.tensors_left else []
    head["caveats"] = [*as_a("list[str]", head["caveats"]), *left]
    return {
        "lang": speech.lang,
        "words": speech.page,
        "head": head,
        "findings": findings.findings(report, [stop for _, stop in order], places, pages),
        "pages": findings.rule_pages(report, pages),
        "files": code.sources(report, places),
        "positions": positions,
        "every": state.EVERY,
        "cells": list(states.names),
        "records": states.records,
        "keys": states.keys,
        "deltas": states.deltas,
        "sets": states.ledger.sets,
        "holdings": states.ledger.holdings,
        "backwards": {
            index: places.say(event.site) for index, event in states.ledger.backwards.items()
        },
        "window": {
            "ended": report.window.ended,
            "kept": report.window.kept,
            "last": max((s.last for s in found if s.line is not None), default=-1),
            "counted": bool(report.trail.lines),
        },
        "lanes": lanes.lanes(report),
        **_roster(report, places, cast),
    }


class _Follow:
    """What the trail says of each event: the next line, the lines before, the random numbers."""

    def __init__(self, report: Report, places: Places) -> None:
        self.spots = [places.at(place) for place in report.trail.lines]
        self.path = report.trail.path
        self.positions: dict[int, int] = {}
        for position, passage in enumerate(self.path):
            self.positions.setdefault(passage.event, position)
        self.before = -1

    def of(self, stop: stops.Stop) -> dict[str, object]:
        """Next line, quiet lines since the stop before, generators that moved (None: unknown)."""
        indices = range(stop.first, stop.last + 1)
        here = max((self.positions[i] for i in indices if i in self.positions), default=-1)
        if here < 0:
            return {}
        drew = [name for i in indices if i in self.positions
                for name in self.path[self.positions[i]].drew]  # fmt: skip
        quiet = [self.spots[p.line] for p in self.path[self.before + 1 : here]]
        at = self.spots[self.path[here].line]
        after = (self.spots[p.line] for p in self.path[here + 1 : here + 2])
        self.before = here
        return {
            "next": next(after, None),
            "quiet": [spot for spot in dict.fromkeys(quiet) if spot is not None and spot != at],
            "drew": list(dict.fromkeys(drew)),
        }


def _row(
    stop: stops.Stop, places: Places, sentences: Sentences, follow: _Follow
) -> dict[str, object]:
    read = stop.values
    numbers = {
        "loss": read.loss if read is not None else None,
        "gradient": read.gradient if read is not None else None,
        "ratio": read.ratio if read is not None else None,
    }
    for call in stop.calls:
        if isinstance(call, ev.Backward) and call.loss is not None:
            numbers["loss"] = call.loss
    return {
        "events": [stop.first, stop.last],
        "step": stop.step + sum(isinstance(c, ev.Step) and not c.skipped for c in stop.calls),
        "at": places.spot(stop.site),
        "place": places.say(stop.site),
        "kinds": list(dict.fromkeys(ev.kind(call) for call in stop.calls)),
        "says": [sentences.of(call) for call in stop.calls],
        **_notes(stop, sentences),
        "numbers": {name: number(value) for name, value in numbers.items() if value is not None},
        **follow.of(stop),
    }


def _notes(stop: stops.Stop, sentences: Sentences) -> dict[str, object]:
    """Writes that were heard late, the first of them in words."""
    writes = [note for note in stop.notes if isinstance(note, ev.Write)]
    if not writes:
        return {}
    words = [sentences.write(note) for note in writes[:NOTES]]
    rest = len(writes) - NOTES
    return {"notes": words + ([sentences.speech.say("more", n=rest)] if rest > 0 else [])}


def _missing(report: Report) -> list[tuple[Stretch, stops.Stop]]:
    """The stretches of which no event was kept, each as a position without a place."""
    width = report.course.width
    return [
        (each, stops.Stop(each.number * width, (each.number + 1) * width - 1, each.step, None))
        for each in lanes.stretches(report)
    ]


def _stretch(each: Stretch, stop: stops.Stop) -> dict[str, object]:
    numbers = {
        name: number(span.last)
        for name in lanes.SERIES
        if (span := getattr(each, name)) is not None and span.last is not None
    }
    return {
        "events": [stop.first, stop.last],
        "step": each.step,
        "stretch": True,
        "counts": {**each.counts, "evals": each.evals, "dark": each.dark},
        "numbers": numbers,
    }


def _roster(report: Report, places: Places, cast: Cast) -> dict[str, object]:
    roster = report.roster
    return {
        "modules": [
            [m.number, m.name, m.type, m.label, m.parent, m.root, m.sensitive]
            for m in roster.modules.values()
            if m.number in cast.modules
        ],
        "tensors": [
            [t.number, t.name, roster.name(t.number), t.role, t.dtype, list(t.shape), t.module,
             list(t.names)]
            for t in roster.tensors.values()
            if t.number in cast.tensors
        ],
        "optimizers": [
            {
                "number": o.number,
                "type": o.type,
                "label": o.label,
                "tensors": o.tensors,
                "sizes": o.sizes or (len(o.tensors),),
                "groups": [
                    {key: value for key, value in group.items() if value is not None}
                    for group in o.groups
                ],
                "place": places.say(o.site),
            }
            for o in roster.optimizers.values()
            if o.number in cast.optimizers
        ],
        "steps": report.steps,
    }  # fmt: skip


def _text(data: dict[str, object]) -> str:
    """JSON for a script element: no ``<``, nothing invisible, and ASCII only."""
    text = json.dumps(_visible(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _visible(part: object) -> object:
    if isinstance(part, str):
        return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", part)
    if isinstance(part, dict):
        pairs = as_a("dict[object, object]", part).items()
        return {_visible(key): _visible(each) for key, each in pairs}
    if isinstance(part, list | tuple):
        return [_visible(each) for each in as_a("list[object]", part)]
    return part
