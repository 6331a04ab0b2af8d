"""The progress line of a long run on a terminal: steps, steps per second, findings so far."""

import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from steplens.model.finding import Finding

INTERVAL = 0.25  # seconds between two drawings, at least
PATIENCE = 0.5  # seconds before the first one: a short run shows none
RECENT = 20  # drawings over which the rate is taken
SAVE, RESTORE, ERASE, DIM, PLAIN = "\x1b7", "\x1b8", "\x1b[K", "\x1b[2m", "\x1b[0m"


class Progress:
    """Draws at the right edge of the line the program is writing, and puts the cursor back.

    What the program prints thus stays readable, whether it ends its lines or not. Drawn from step
    events alone, without threads; silent unless ``stream`` is a terminal that can move its cursor,
    when ``quiet``, in a forked child, and where the program draws a bar of its own (tqdm).
    """

    def __init__(
        self,
        quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._process = os.getpid()
        self._began = self._drawn = clock()
        self._marks: deque[tuple[float, int]] = deque(maxlen=RECENT)  # of drawings: time, steps
        self._told: set[object] = set()  # the causes shown
        self._shown = 0  # width of what stands on the terminal
        self.on = not quiet and _can_draw(self._stream)

    def hear(self, steps: int, findings: list[Finding]) -> None:
        """An optimizer step ended: show the findings that are new, and redraw the line."""
        for finding in findings:
            cause = (finding.code, finding.at, finding.event)
            if cause not in self._told:
                self._told.add(cause)
                self.found(finding)
        self.step(steps, len(findings))

    def step(self, steps: int, findings: int) -> None:
        """An optimizer step ended; ``steps`` and ``findings`` are the numbers so far."""
        now = self._clock()
        if not self._marks:
            self._marks.append((now, steps))
        if not self.on or now - self._drawn < INTERVAL or now - self._began < PATIENCE:
            return
        if os.getpid() != self._process or "tqdm" in sys.modules:
            self.clear()
            self.on = False
            return
        self._drawn = now
        since, done = self._marks[0]
        self._marks.append((now, steps))
        rate = (steps - done) / (now - since) if now > since else 0.0
        words = f"step {steps}  {_three_digits(rate)}/s  {_counted(findings)}"
        self._draw(words)

    def found(self, finding: Finding) -> None:
        """Show a finding when it is found, on a line of its own."""
        if not self.on or os.getpid() != self._process:
            return
        place = f"{finding.at.place}: " if finding.at is not None else ""
        head = f"{finding.severity}[{finding.code} {finding.name}]"
        self.clear()
        self._write(f"\r{ERASE}{place}{head}: {finding.message}\n")

    def clear(self) -> None:
        """Take the line away; the next step may draw it again."""
        if self._shown and os.getpid() == self._process:
            self._write(f"{SAVE}{_column(self._shown)}{ERASE}{RESTORE}")
        self._shown = 0

    def _draw(self, words: str) -> None:
        width = max(len(words), self._shown)  # covers a longer one before it
        self._write(f"{SAVE}{_column(width)}{DIM}{words:>{width}}{PLAIN}{RESTORE}")
        self._shown = len(words)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # a terminal that was closed is no fault of the program
            self.on = False


def _can_draw(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    except ValueError:
        return False


def _column(width: int) -> str:
    """Moves the cursor so that ``width`` characters end one column before the edge."""
    columns = shutil.get_terminal_size().columns
    return f"\x1b[{max(1, columns - width)}G"


def _three_digits(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}"


def _counted(findings: int) -> str:
    return {0: "no findings", 1: "1 finding"}.get(findings, f"{findings} findings")
