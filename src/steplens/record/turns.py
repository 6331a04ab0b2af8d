"""Turns: what is a step to the detail window and the cadence, in a program in which no optimizer
steps: they would last for ever."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

FEW = 32  # passes that may all lead up to the first step, as where gradients are accumulated


class Turns:
    """The rounds of a loop that trains by hand (``handmade``); of one that moves no parameter, but
    looks for an input or measures gradients, each pass through a graph after the first few."""

    def __init__(self) -> None:
        self.passes = 0

    def passed(self, recorder: "Recorder") -> None:
        """A pass through a graph begins."""
        recorder.detail.trains()
        if recorder.step or recorder.handmade.moved:
            return
        self.passes += 1
        if self.passes > FEW:
            self.ended(recorder)

    def ended(self, recorder: "Recorder") -> None:
        """A turn has ended."""
        recorder.values.turned()
        recorder.cadence.advance()
        recorder.detail.step_ended()
