"""Trail: the lines that ran in the detail window, in order, and where random numbers were drawn."""

import msgspec

from steplens.model.state import Change


class Passage(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A line that finished, or was suspended by a call into the user's code.

    ``line`` is a position in ``Trail.lines``, ``event`` the index of the newest Event when it did
    (-1: none yet). Where that is a new one, ``drew`` names the generators that have moved since the
    passage with the one before (torch, numpy, random).
    """

    line: int
    event: int
    drew: tuple[str, ...] = ()


class Trail(msgspec.Struct):
    """What the window saw of the program's way.

    ``lines`` are places (``train.py:19``, ``lab.ipynb[4]:2``), ``runs`` how often each of them ran
    while the window was open. ``path`` holds the first passages, of many between two events the
    first and the last ones; ``cut`` says that it ends before the window did.
    ``start`` is the state that stood before the first line: each part with None before it.
    """

    lines: list[str] = []
    runs: list[int] = []
    path: list[Passage] = []
    cut: bool = False
    start: tuple[Change, ...] = ()
