"""Cadence: when values may be read."""


class Cadence:
    """Values are read at every step of the detail window and rarely beyond it.

    ``step`` is advanced by the Recorder. Beyond the window a step out of ``every`` is looked at;
    ``every`` grows with the length of the run so that the looks stay a small part of it.
    """

    def __init__(self, window: int) -> None:
        self.window = max(window, 10)
        self.step = 0
        self.looks = 0
        self.every = 50

    def advance(self) -> None:
        """One optimizer step has ended."""
        self.step += 1
        if self.looking:
            self.looks += 1

    @property
    def looking(self) -> bool:
        """Whether the present step is one at which values are read."""
        return self.step < self.window or self.step % self.every == 0

    def may_look(self) -> bool:
        """The same, as a call."""
        return self.step < self.window or self.step % self.every == 0
