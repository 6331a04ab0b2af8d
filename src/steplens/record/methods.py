"""Methods: whose method is running, where one is called by its name and not through the model."""

from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LOOKS = 16  # at each piece of code


class Methods:
    """Tells a module in eval mode whose own method runs outside of any forward.

    The variables of a running function are never read: so the method's class is looked for among
    those of the modules alive, and all modules of that class must be in eval mode.
    """

    def __init__(self) -> None:
        self.looks: dict[int, int] = {}  # by the code's id: `Places` keeps the user's code alive

    def asleep(self, recorder: "Recorder") -> nn.Module | None:
        """A module of the class whose method is running; None if one of them is in train mode, or
        there is none."""
        frame = recorder.places.frame(1)
        while frame is not None and frame.f_code.co_name.startswith("<"):  # a comprehension
            frame = frame.f_back
        if frame is None or not frame.f_code.co_argcount or not recorder.places.owns(frame.f_code):
            return None
        found = self._of(recorder, frame.f_code)
        return None if any(module.training for module in found) else next(iter(found), None)

    def _of(self, recorder: "Recorder", code: CodeType) -> list[nn.Module]:
        looks = self.looks[id(code)] = self.looks.get(id(code), 0) + 1
        if looks > LOOKS:
            return []
        return [m for m in recorder.census.alive() if _has(type(m), code)]


def _has(kind: type, code: CodeType) -> bool:
    """Whether a class, or one that it is made of, has a method of this code."""
    for part in kind.__mro__:
        method = vars(part).get(code.co_name)
        while method is not None and not isinstance(method, FunctionType):
            method = getattr(method, "__wrapped__", None)
        while isinstance(method, FunctionType):
            if method.__code__ is code:
                return True
            method = getattr(method, "__wrapped__", None)
    return False
