"""Trail: writes down each line that ran in the window, and whether random numbers were drawn.

Reading the generators of numpy and of Python takes a tenth of a millisecond, so they are read where
an Event has come, not at every line.
"""

import sys
from types import CodeType

from steplens.model.site import Site
from steplens.model.trail import Passage, Trail
from steplens.record.seeds import STATES

LONGEST = 8000  # passages kept
QUIET = 60  # of them between two events: the first and the last ones


class Tracker:
    """Keeps the Trail of one window. ``trail`` is the Report's own object."""

    def __init__(self) -> None:
        self.trail = Trail()
        self.numbers: dict[tuple[int, int], int] = {}  # by code object and line
        self.places: dict[str, int] = {}
        self.kept: list[CodeType] = []  # an id is only a name while its object lives
        self.random: dict[str, int] = {}
        self.quiet = 0  # passages since an Event came
        self.event = -1  # the newest Event of the last passage

    def begin(self) -> None:
        """Read the generators before the first line."""
        self.random = _states()

    def knows(self, code: CodeType, line: int) -> bool:
        """Whether the line has been passed before."""
        return (id(code), line) in self.numbers

    def runs(self, code: CodeType, line: int) -> int:
        """How often the line has run."""
        number = self.numbers.get((id(code), line))
        return self.trail.runs[number] if number is not None else 0

    def passed(self, code: CodeType, line: int, run: int, event: int, site: Site | None) -> None:
        """A line has finished or is suspended, in its ``run``-th run; ``site`` is needed once."""
        trail = self.trail
        key = (id(code), line)
        number = self.numbers.get(key)
        if number is None:
            if site is None:
                return
            number = self._number(site.place)
            self.numbers[key] = number
            self.kept.append(code)
        trail.runs[number] = max(trail.runs[number], run)
        if trail.cut:
            return
        if len(trail.path) >= LONGEST:
            trail.cut = True
            return
        drew = self._drew() if event != self.event else ()
        self.quiet = self.quiet + 1 if event == self.event else 0
        self.event = event
        if self.quiet > QUIET:
            del trail.path[-QUIET // 2]
        trail.path.append(Passage(number, event, drew))

    def close(self) -> None:
        """The window has ended: nothing of the user's is held any longer."""
        self.numbers.clear()
        self.kept.clear()

    def _number(self, place: str) -> int:
        number = self.places.get(place)
        if number is None:
            number = self.places[place] = len(self.trail.lines)
            self.trail.lines.append(place)
            self.trail.runs.append(0)
        return number

    def _drew(self) -> tuple[str, ...]:
        now = _states()
        moved = tuple(name for name, state in now.items() if self.random.get(name, state) != state)
        self.random = now
        return moved


def _states() -> dict[str, int]:
    """Digests of the generators' states; one that cannot be read is left out."""
    found: dict[str, int] = {}
    for name, read in STATES.items():
        if name != "numpy" or "numpy.random" in sys.modules:
            try:
                found[name] = read()
            except Exception:  # under the capture of a CUDA graph
                continue
    return found
