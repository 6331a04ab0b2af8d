"""Unrun: a `.step` of an optimizer that stands in the user's running code and has never run."""

import dis
from types import FrameType
from typing import Any

from steplens.model.site import Site
from steplens.record.places import Places

FRAMES = 8  # user frames looked at, innermost first
NAMES = ("LOAD_FAST", "LOAD_NAME", "LOAD_GLOBAL", "LOAD_DEREF")


def step_line(places: Places, optimizer: object) -> Site | None:
    """The line of the running user functions that names this optimizer's ``step``, None when there
    is none. Reads code and local names only; nothing of the user's is called."""
    frame, left = places.frame(1), FRAMES
    while frame is not None and left:
        if places.owns(frame.f_code):
            left -= 1
            line = _in(frame, optimizer)
            if line:
                return places.line(frame.f_code, line)
        frame = frame.f_back
    return None


def _in(frame: FrameType, optimizer: object) -> int:
    held = None
    for instruction in dis.get_instructions(frame.f_code):
        name = instruction.argval
        if instruction.opname.startswith(NAMES) and isinstance(name, str):
            held = _named(frame, name)
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            if name == "step" and held is optimizer:
                return _line(instruction)
            held = _attribute(held, name)
        else:
            held = None
    return 0


def _line(instruction: dis.Instruction) -> int:
    return int(instruction.positions.lineno or 0) if instruction.positions else 0


def _named(frame: FrameType, name: str) -> Any:
    return frame.f_locals.get(name, frame.f_globals.get(name))


def _attribute(holder: Any, name: str) -> Any:
    try:
        return vars(holder).get(name)
    except TypeError:
        return None
