"""Swaps: ``torch.utils.swap_tensors`` takes no tensor that somebody has a weak reference to, and we
have some to every parameter."""

import weakref
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import torch

from steplens.record.wrap import replace

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder


class Weak(ModuleType):
    """The module ``weakref``, as ``torch.utils`` sees it while we watch: ``getweakrefs`` leaves out
    what we hold. References without a callback are one object, whoever asked for it: of a parameter
    that we know, it is taken for ours."""

    def __init__(self, recorder: "Recorder") -> None:
        super().__init__("weakref")
        self.recorder = recorder

    def getweakrefs(self, thing: Any) -> list[Any]:
        """The references that are the program's."""
        found = weakref.getweakrefs(thing)
        known = isinstance(thing, torch.Tensor) and self.recorder.census.known(thing) is not None
        return [ref for ref in found if not _ours(ref, known)]

    def __getattr__(self, name: str) -> Any:
        return getattr(weakref, name)


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Let ``swap_tensors``, with which modules may be converted and loaded, work as without us."""
    if getattr(torch.utils, "weakref", None) is not weakref:
        return []
    return [replace(recorder, torch.utils, "weakref", Weak(recorder))]


def _ours(ref: Any, known: bool) -> bool:
    callback = ref.__callback__
    if callback is None:
        return known
    return str(getattr(callback, "__module__", "")).startswith("steplens.")
