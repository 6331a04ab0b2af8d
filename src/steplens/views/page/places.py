"""Where things are: files of the report by number, and places as the page names them."""

import re

from steplens.model.report import Report
from steplens.model.site import Site
from steplens.views.speech import Speech
from steplens.views.window import source_key

Spot = tuple[int, int]  # number of the file, line

CELL = re.compile(r"^(?P<file>.*)\[(?P<cell>\d+)\]$", re.DOTALL)


class Places:
    """The files (and notebook cells) of a report, in the order in which the page shows them."""

    def __init__(self, report: Report, speech: Speech) -> None:
        self.report = report
        self.speech = speech
        seen = [each.site for each in report.timeline.events]
        seen += [finding.at for finding in report.findings]
        seen += [b.at for finding in report.findings for b in finding.because]
        keys = [source_key(site) for site in seen if site is not None]
        passed = (place.rpartition(":")[0] for place in report.trail.lines)
        keys += [key for key in passed if report.sources.get(key)]
        self.keys = sorted(dict.fromkeys([*keys, *report.sources]), key=self._rank(keys))
        self.numbers = {key: number for number, key in enumerate(self.keys)}

    def _rank(self, keys: list[str]):
        order = {key: number for number, key in reversed(list(enumerate(keys)))}

        def rank(key: str) -> tuple[int, int, int]:
            cell = CELL.match(key)
            if cell is not None:
                return (int(cell["file"] != self.report.program), int(cell["cell"]), 0)
            return (int(key != self.report.program), 0, order.get(key, len(order)))

        return rank

    def spot(self, site: Site | None) -> Spot | None:
        """The file's number and the line; None for no place."""
        return (self.numbers[source_key(site)], site.line) if site is not None else None

    def at(self, place: str) -> Spot | None:
        """The same for a place in words, as Trail and Course have it."""
        key, _, line = place.rpartition(":")
        return (self.numbers[key], int(line)) if key in self.numbers and line.isdecimal() else None

    def title(self, number: int) -> str:
        """A file as the page names it: a cell of the program's own notebook by its number only."""
        key = self.keys[number]
        cell = CELL.match(key)
        if cell is not None and cell["file"] == self.report.program:
            return self.speech.say("cell", n=cell["cell"])
        return key

    def say(self, site: Site | None) -> str:
        """A place in a few words: `line 17`, `[4]:2`, `model.py:12`."""
        if site is None:
            return self.speech.say("nowhere")
        if site.file == self.report.program:
            line = self.speech.say("line", n=site.line)
            return f"[{site.cell}]:{site.line}" if site.cell else line
        return site.place
