"""Stopwatch: how long steplens's own work has taken in this run."""

from time import perf_counter


class Clock:
    """Adds up the spans of our own work in this process, each counted once however they nest."""

    def __init__(self) -> None:
        self.running = False
        self.seconds = 0.0
        self.began = 0.0  # when the span that runs did

    def start(self) -> float:
        """Begin a span: a token for ``stop``, 0 within another span."""
        if self.running:
            return 0.0
        self.running = True
        self.began = perf_counter()
        return self.began

    def stop(self, token: float) -> None:
        """End the span that the token is of."""
        if token:
            self.seconds += perf_counter() - token
            self.running = False

    def now(self) -> float:
        """The seconds so far, with those of the span that runs."""
        return self.seconds + (perf_counter() - self.began if self.running else 0.0)

    def leave_out(self, seconds: float) -> None:
        """So much of the span that runs is not ours: the program would have had to do it too."""
        if self.running:
            self.seconds -= seconds


CLOCK = Clock()


class Stopwatch:
    """What the clock has come to since a run began, split at the end of the detail window.

    What runs within a call of the program is timed from the first line of ours to the last: the
    readings, the Events, the rules, the lines of the window. The bare wrappers are not, nor are the
    comparisons of rounds that are counted (``steady``): reading a clock would cost as much again.
    """

    def __init__(self) -> None:
        self.base = CLOCK.seconds
        self.began = perf_counter()
        self.window = 0.0  # seconds of ours in the detail window
        self.window_ended = 0.0  # when that ended, 0 while it lasts

    def window_over(self, now: float) -> None:
        """The detail window has ended."""
        self.window, self.window_ended = CLOCK.seconds - self.base, now

    def split(self) -> tuple[float, float, float, float]:
        """Seconds of ours and in all, within the window and beyond it."""
        now, ours = perf_counter(), CLOCK.seconds - self.base
        if not self.window_ended:
            return ours, now - self.began, 0.0, 0.0
        return (
            self.window,
            self.window_ended - self.began,
            ours - self.window,
            now - self.window_ended,
        )
