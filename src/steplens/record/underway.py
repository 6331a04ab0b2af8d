"""Underway: the backward passes in progress, as seen from each thread.

torch runs the nodes of a GPU on a thread of its own, and hooks, recomputed forwards and optimizers
that step in hooks with them (``torch/csrc/autograd/engine.cpp``). What they do belongs to the
backward that another thread has called.
"""

import threading
from collections.abc import Callable
from threading import get_ident
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from steplens.record.backwards import Pass
    from steplens.record.rounds import Call

# the backward whose nodes this thread runs, -1 outside of one
graph_task: Callable[[], int] = getattr(torch._C, "_current_graph_task_id", lambda: -1)


class Underway:
    """The passes in progress, by the thread that called each, and the accounts still to be given a
    gradient by it; and the threads that clear gradients."""

    def __init__(self, lock: threading.RLock) -> None:
        self.passes: dict[int, tuple[Pass, dict[int, int]]] = {}
        self.clearing: dict[int, int] = {}  # thread -> the calls of `zero_grad` that it is in
        self.still = lock  # held while the gradients of all threads are looked at

    def begin(self, running: "Pass", fresh: dict[int, int]) -> None:
        """This thread has called a backward. torch writes gradients with Python's lock released:
        whoever looks at those of other threads meanwhile may find one that is being freed."""
        with self.still:
            self.passes[get_ident()] = running, fresh

    def end(self) -> None:
        """The backward that this thread called is over."""
        self.passes.pop(get_ident(), None)

    def clears(self) -> None:
        """This thread is about to clear gradients: as they are freed, Python's lock may be released
        as well, before torch has forgotten them."""
        with self.still:
            mine = get_ident()
            self.clearing[mine] = self.clearing.get(mine, 0) + 1

    def cleared(self) -> None:
        """They are cleared."""
        mine = get_ident()
        left = self.clearing.pop(mine, 1) - 1
        if left:
            self.clearing[mine] = left

    def branch(self, lock: threading.RLock) -> None:
        """This process is a fork: the other threads are not in it."""
        mine = get_ident()
        self.passes = {mine: self.passes[mine]} if mine in self.passes else {}
        self.clearing = {mine: self.clearing[mine]} if mine in self.clearing else {}
        self.still = lock

    def elsewhere(self) -> bool:
        """Whether another thread is in a backward, or clears gradients; to be asked with ``still``
        held."""
        return any(thread != get_ident() for thread in [*list(self.passes), *list(self.clearing)])

    def whose(self) -> int:
        """The thread on whose behalf this one works: itself, or the one that called a backward."""
        mine, passes = get_ident(), self.passes
        if not passes or mine in passes or graph_task() < 0:
            return mine
        return list(passes)[-1]

    def here(self) -> "tuple[Pass, dict[int, int]] | None":
        """The pass whose nodes this thread runs on behalf of another, and the accounts. Of several
        at a time it is the one that began last: which of them it is cannot be known."""
        passes = self.passes
        if not passes or get_ident() in passes or graph_task() < 0:
            return None
        return list(passes.values())[-1]


class Local(threading.local):
    """What each thread knows for itself."""

    depth = 0  # module calls entered
    ran: set[int] | None = None
    lit: set[int] = set()  # those of `ran` that ran with grad mode on; a new one for each forward
    raw: set[int] = set()  # those of `ran` that were given no tensor with a graph
    own: "Pass | None" = None  # the backward that this thread has called
    stepping = -1  # number of the optimizer now stepping
    asking: list[int] = []  # the roots of the `autograd.grad` in progress, by identity
    switching = False  # inside an outermost Module.train
    described: "Call | None" = None  # the call whose Event this thread is about to tell

    def __init__(self, underway: Underway) -> None:
        self.underway = underway

    @property
    def running(self) -> "Pass | None":
        """The Pass in progress."""
        if self.own is not None or not self.underway.passes:
            return self.own
        found = self.underway.here()
        return found[0] if found is not None else None

    @property
    def backward(self) -> int:
        """Index of the Backward event in progress, -1 for none."""
        running = self.own
        if running is None and self.underway.passes:
            running = self.running
        return running.index if running is not None else -1
