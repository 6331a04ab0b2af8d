"""Spells: wrappers of methods that optimizers call thousands of times, on now and then."""

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

FIRST = 16  # steps of the first spell
PART = 16  # of the steps from each power of two to the next, the first sixteenth is a spell


class Spells:
    """Puts wrappers on for a spell of steps, and takes them off.

    Optimizers that go through their tensors one by one call `item`, `add_` and `lerp_` once or more
    for each. So those are heard in the first steps and in the first sixteenth of the steps from
    each power of two to the next, which meets whatever comes again and again. To put wrappers on
    and off at each step, or to hear them at looks only, would cost more: torch.Tensor's attributes
    are looked up anew each time, and from Python 3.13 on never quickly again after 1,000 times
    (``MAX_VERSIONS_PER_CLASS``).
    """

    def __init__(self) -> None:
        self.next = 0.0  # step at which they are put on or off
        self.makers: list[tuple[str, Callable[[], Callable[[], None]]]] = []
        self.removals: list[Callable[[], None]] = []

    def add(self, probe: str, make: Callable[[], Callable[[], None]]) -> None:
        """``make`` puts a wrapper of this probe on and returns what takes it off."""
        self.makers.append((probe, make))

    def follow(self, recorder: "Recorder") -> None:
        """So many steps are done: does a spell begin or end here?"""
        step = recorder.step
        if step < self.next:
            return
        power = FIRST if step < FIRST else 1 << (step.bit_length() - 1)
        end = power + power // PART
        if step < end:
            self.next = end
            if not self.removals:
                self._on(recorder)
        else:
            self.next = 2 * power
            self.off()

    def _on(self, recorder: "Recorder") -> None:
        for probe, make in self.makers:
            if probe not in recorder.off:
                with recorder.guarded(probe):
                    self.removals.append(make())

    def off(self) -> None:
        """Hear none of them."""
        while self.removals:
            self.removals.pop()()

    def end(self) -> None:
        """The run is over."""
        self.next = inf
        self.off()
