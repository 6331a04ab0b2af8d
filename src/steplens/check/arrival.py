"""Arrival: hears a module being imported for the first time."""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


class Finder:
    """A meta path finder that finds nothing itself: it lets the ordinary one find ``name``, and has
    the loader call back when the module's code has run."""

    def __init__(self, name: str, arrived: Callable[[], None]) -> None:
        self.name = name
        self.arrived = arrived

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of the awaited module, its loader made to call back; None for every other."""
        if name != self.name:
            return None
        forget(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            _call_back(spec.loader, self.arrived)
        return spec


def when_imported(name: str, arrived: Callable[[], None]) -> Callable[[], None]:
    """Call ``arrived`` once ``name`` has been imported; returns what takes the finder out again."""
    finder = Finder(name, arrived)
    sys.meta_path.insert(0, finder)  # type: ignore[arg-type]
    return lambda: forget(finder)


def forget(finder: Finder) -> None:
    """Take the finder out of the import path, if it is still there."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)  # type: ignore[arg-type]


def _call_back(loader: Any, arrived: Callable[[], None]) -> None:
    original = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module  # the loader is the module's own from here on, as it was found
        original(module)
        arrived()

    loader.exec_module = exec_module
