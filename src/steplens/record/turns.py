"""Turns: the passes through graphs of a program in which no optimizer steps: one that trains by
hand, looks for an input, or measures gradients. To the detail window and the cadence each is what a
step is, or both would last for ever."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

FEW = 32  # passes that may all lead up to the first step, as where gradients are accumulated


class Turns:
    """Counts the passes before the first step."""

    def __init__(self) -> None:
        self.passes = 0

    def passed(self, recorder: "Recorder") -> None:
        """A pass through a graph begins."""
        if recorder.step:
            return
        self.passes += 1
        if self.passes > FEW:
            recorder.cadence.advance()
            recorder.detail.turned(self.passes - FEW)
