"""Regions of a program in which named findings are meant: ``with steplens.allow(...)``."""

import ast
import linecache
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from steplens.model.site import Site

MOST = 4096  # regions that are kept; a loop enters one region many times


@dataclass(frozen=True, slots=True)
class Region:
    """One pass through a ``with allow(...)`` block.

    ``first_line`` to ``last_line`` are the block's lines, ``first_event`` and ``last_event`` the
    indices of the first event in it and of the first one after it (-1: still open).
    """

    file: str
    cell: int
    first_line: int
    last_line: int
    names: tuple[str, ...]
    reason: str
    first_event: int
    last_event: int = -1

    def covers(self, at: Site | None, event: int) -> bool:
        """Whether a finding at this place, made at this event, is the region's."""
        here = at is not None and (at.file, at.cell) == (self.file, self.cell)
        if here and at and self.first_line <= at.line <= self.last_line:
            return True
        return event >= self.first_event >= 0 and (self.last_event < 0 or event < self.last_event)


class Regions:
    """The regions that one watched run went through; made before it, closed after it.

    ``clock`` tells the index of the next event, ``place`` turns the file name of compiled code
    into the file and cell of its Sites. Regions that were entered earlier and are still open count.
    """

    def __init__(self, clock: Callable[[], int], place: Callable[[str], tuple[str, int]]) -> None:
        self._clock = clock
        self._place = place
        self._passed: list[Region] = []
        self._open: dict[allow, int] = {}
        _watching.append(self)
        for region in _entered:
            self.enter(region)

    def close(self) -> None:
        """Stop listening; regions still open end here."""
        if self in _watching:
            _watching.remove(self)
        for region in list(self._open):
            self.leave(region)

    @property
    def all(self) -> tuple[Region, ...]:
        """The regions so far, open ones too."""
        return (
            *self._passed,
            *(self._region(each, begin, -1) for each, begin in self._open.items()),
        )

    def enter(self, region: "allow") -> None:
        """A block begins."""
        self._open[region] = self._clock()

    def leave(self, region: "allow") -> None:
        """A block ends, if it was heard to begin."""
        begin = self._open.pop(region, None)
        if begin is not None and len(self._passed) < MOST:
            self._passed.append(self._region(region, begin, self._clock()))

    def _region(self, region: "allow", begin: int, end: int) -> Region:
        file, cell = self._place(region.filename)
        lines = (region.first_line, region.last_line)
        return Region(file, cell, *lines, region.names, region.reason, begin, end)


class allow:  # noqa: N801 - it reads as a statement: with allow("step-in-eval-mode", reason="...")
    """Findings of the rules ``names`` (codes or names) are meant within the block, for ``reason``.

    A finding is suppressed when it points into the block's lines or was made while the block ran.
    Costs next to nothing when nothing is watching, and needs no torch.
    """

    def __init__(self, *names: str, reason: str = "") -> None:
        self.names = names
        self.reason = reason
        self.filename = ""
        self.first_line = self.last_line = 0

    def __enter__(self) -> "allow":
        frame = sys._getframe(1)
        self.filename, self.first_line = frame.f_code.co_filename, frame.f_lineno
        self.last_line = block_end(self.filename, self.first_line) if _watching else self.first_line
        _entered.append(self)
        for regions in _watching:
            regions.enter(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self in _entered:
            _entered.remove(self)
        for regions in _watching:
            regions.leave(self)


def block_end(filename: str, line: int) -> int:
    """The last line of the ``with`` block whose head holds ``line``; ``line`` when unknown."""
    text = "".join(linecache.getlines(filename))
    if (filename, hash(text)) not in _blocks:
        _blocks.clear()
        _blocks[(filename, hash(text))] = _with_blocks(text)
    blocks = _blocks[(filename, hash(text))]
    within = [(begin, end) for begin, end in blocks if begin <= line <= end]
    return max(within)[1] if within else line


def _with_blocks(text: str) -> list[tuple[int, int]]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return []
    kinds = (ast.With, ast.AsyncWith)
    return [(n.lineno, n.end_lineno or n.lineno) for n in ast.walk(tree) if isinstance(n, kinds)]


_watching: list[Regions] = []
_entered: list[allow] = []
_blocks: dict[tuple[str, int], list[tuple[int, int]]] = {}
