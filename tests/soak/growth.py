"""Growth: which containers of a watched run get longer and longer."""

import gc
from collections import deque
from collections.abc import Callable
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import torch
from torch import nn

from steplens.check.session import Session
from steplens.config import Config

Sizes = dict[str, int]
KEPT = "[kept]"  # in the path of what a deque of bounded length holds
LEAVES = (type, ModuleType, FunctionType, CodeType, FrameType, torch.Tensor, nn.Module, str, bytes)


def sizes(session: Session) -> Sizes:
    """The length of each container reachable from a session, by the path that leads to it. Those
    within a container of many are taken together; of those within one of bounded length, the
    longest."""
    found: Sizes = {}
    seen: set[int] = {id(session)}
    queue: list[tuple[str, Any]] = [("session", session)]
    for path, thing in queue:
        if isinstance(thing, (dict, list, set, frozenset, deque, tuple)):
            known = found.get(path, 0)
            found[path] = max(known, len(thing)) if KEPT in path else known + len(thing)
        for name, part in _parts(thing):
            if id(part) not in seen and not isinstance(part, LEAVES):
                seen.add(id(part))
                queue.append((f"{path}{name}", part))
    return found


def _parts(thing: Any) -> list[tuple[str, Any]]:
    if isinstance(thing, dict):
        inner = [*list(thing.values()), *list(thing)]
        return [("[]", part) for part in inner]
    if isinstance(thing, (list, tuple, set, frozenset, deque)):
        bounded = isinstance(thing, deque) and thing.maxlen is not None
        return [(KEPT if bounded else "[]", part) for part in list(thing)]
    if not type(thing).__module__.startswith("steplens"):
        owner = getattr(thing, "__self__", None)  # a bound method
        return [(".self", owner)] if owner is not None else []
    names = [*getattr(thing, "__dict__", {})]
    for kind in type(thing).__mro__:
        names += [n for n in getattr(kind, "__slots__", ()) if isinstance(n, str)]
    return [(f".{n}", getattr(thing, n)) for n in names if n != "__weakref__" and hasattr(thing, n)]


def growing(
    make: Callable[[], Callable[[], object]], first: int, second: int, lines: int = 0
) -> tuple[dict[str, tuple[int, int]], Session]:
    """Run a step many times, watched; the containers that were longer after ``second`` steps than
    after ``first``, by more than a tenth of the steps between."""
    session = Session(Config(folder="", lines=lines), __file__)
    session.search = False
    session.start()
    try:
        step = make()
        for _ in range(first):
            step()
        gc.collect()
        before = sizes(session)
        for _ in range(second - first):
            step()
        gc.collect()
        after = sizes(session)
    finally:
        session.stop()
    few = max(8, (second - first) // 10)
    return {
        path: (before.get(path, 0), size)
        for path, size in after.items()
        if size - before.get(path, 0) > few
    }, session
