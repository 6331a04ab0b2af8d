"""Newest: a dict that keeps so many entries, the newest."""

from collections.abc import Callable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")
_put: Callable[..., None] = vars(dict)["__setitem__"]  # quicker than by way of super()


class Newest(dict[K, V]):
    """A dict that drops its oldest entry when a new key makes it longer than ``most``.

    The oldest is the one whose key came first: to set a key that is there changes its value and
    keeps its place; ``pop`` it first to make it the newest. Only ``newest[key] = value`` is
    bounded: ``update``, ``|=`` and ``setdefault`` are dict's own, which do not come by here, and
    drop nothing.
    """

    __slots__ = ("most",)

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __setitem__(self, key: K, value: V) -> None:
        _put(self, key, value)
        if len(self) > self.most:
            del self[next(iter(self))]
