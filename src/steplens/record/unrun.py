"""Unrun: a `.step` that stands in the user's running code under an optimizer's name and has not
run."""

import dis
from collections.abc import Iterable
from types import CodeType, FrameType

from steplens.model.site import Site
from steplens.record.places import Places

FRAMES = 8  # user frames looked at, innermost first
VARIABLES = ("LOAD_FAST", "LOAD_NAME", "LOAD_GLOBAL", "LOAD_DEREF")


def step_line(places: Places, names: Iterable[str]) -> Site | None:
    """The line of the running user functions that reads ``step`` of one of these variables
    (``optimizer``, ``opts.inner``; a leading ``self.`` left out), None when there is none.

    The code is read, not the variables: a name may stand for another object there.
    """
    wanted = {f"{name}.step" for name in names if name}
    frame: FrameType | None = places.frame(1)
    left = FRAMES
    while frame is not None and left and wanted:
        if places.owns(frame.f_code):
            left -= 1
            line = _in(frame.f_code, wanted)
            if line:
                return places.line(frame.f_code, line)
        frame = frame.f_back
    return None


def _in(code: CodeType, wanted: set[str]) -> int:
    said = ""
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith(VARIABLES):
            said = str(instruction.argval)
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            said = f"{said}.{instruction.argval}"
            if said.removeprefix("self.") in wanted and instruction.positions is not None:
                return instruction.positions.lineno or 0
        else:
            said = ""
    return 0
