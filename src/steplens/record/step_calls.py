"""Step calls: where the user's code that has begun to run would step a scheduler."""

import dis
import re
import sys
from types import CodeType

from steplens.model.site import Site
from steplens.record.places import Places

FLAGGED = sys.version_info >= (3, 12)  # a call of a method is a LOAD_ATTR with its lowest bit set
MOST = 16  # calls told of one scheduler


class StepCalls:
    """Knows the calls ``NAME.step(...)`` in the code objects seen so far; each is read once."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.read = 0
        self.found: list[tuple[str, Site]] = []

    def of(self, label: str) -> tuple[Site, ...]:
        """The calls whose receiver bears this variable's name, or one that speaks of a schedule."""
        kept = self.places.kept
        for code in kept[self.read :]:
            if self.places.owns(code) and "step" in code.co_names:
                self._read(code)
        self.read = len(kept)
        name = (re.findall(r"[^\W\d]\w*", label) or [""])[-1]
        sites = [s for receiver, s in self.found if receiver == name or "sched" in receiver.lower()]
        return tuple(sites[:MOST])

    def _read(self, code: CodeType) -> None:
        receiver: object = None
        for instruction in dis.get_instructions(code):
            if instruction.argval == "step" and _method(instruction) and isinstance(receiver, str):
                line = instruction.positions.lineno if instruction.positions else None
                self.found.append((receiver, self.places.at(code, instruction.offset, line)))
            receiver = instruction.argval
            if isinstance(receiver, tuple) and receiver:  # two variables loaded at once
                receiver = receiver[-1]


def _method(instruction: dis.Instruction) -> bool:
    if FLAGGED:
        return instruction.opname == "LOAD_ATTR" and bool((instruction.arg or 0) & 1)
    return instruction.opname == "LOAD_METHOD"
