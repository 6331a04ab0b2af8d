"""What the tests of counting share."""

import math
from typing import Any

import pytest

import repeating
from steplens.record import steady
from steplens.record.cadence import Cadence


@pytest.fixture(params=["told at once", "repeats"])
def narrow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window of two steps, and a look at every seventh, whatever the clock says. What is counted
    is told after each round, or, as Repeats, when a look is due or the rounds end."""

    def made(self: Cadence, *given: Any, **words: Any) -> None:
        begin(self, *given, **words)
        self.window = repeating.FIRST

    def advance(self: Cadence) -> None:
        self.step += 1
        self.cost = 0.0
        self.looking = self.flagging = (
            self.step < repeating.FIRST or self.step % repeating.LOOK == 0
        )
        self.looks += self.looking

    def sleep(self: steady.Steady) -> None:
        self.wake = 0.0
        if request.param == "repeats":
            done = self.recorder.step
            self.wake, self.wake_at = math.inf, done + repeating.LOOK - done % repeating.LOOK
            self._rest()

    begin = Cadence.__init__
    monkeypatch.setattr(Cadence, "__init__", made)
    monkeypatch.setattr(Cadence, "advance", advance)
    monkeypatch.setattr(steady.Steady, "sleep", sleep)
