"""Probe of hooks on what graphs save, for a torch that does not show them: once the program has
entered some, a value may lie behind them."""

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.graph import saved_tensors_hooks

from steplens.record.counters import sequence_now
from steplens.record.wrap import around

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

# torch's `SavedTensor` has `unpack_hook` and `data` in 2.11 and 2.13, not in 2.4, 2.6 and 2.8
SHOWN = hasattr(torch._C._autograd.SavedTensor, "unpack_hook")  # type: ignore[attr-defined]


class Packing:
    """Which nodes may have saved values behind hooks that torch does not show: those made from the
    first time that any were entered to the last time that some were left, by their numbers."""

    first, last = inf, -1.0
    inside = 0

    def enters(self, _: Any) -> None:
        """Hooks are about to be entered."""
        self.first = min(self.first, sequence_now())
        self.inside += 1

    def leaves(self, *_: Any) -> None:
        """Hooks have been left."""
        self.last = max(self.last, sequence_now())
        self.inside -= 1

    def may(self, node: Any) -> bool:
        """Whether a value that the node saved may lie behind a hook. Numbers of several threads
        make the range wider only, as does an end that was not heard."""
        number = node._sequence_nr() if hasattr(node, "_sequence_nr") else self.first
        return self.first <= number and (self.inside != 0 or number < self.last)


PACKING = Packing()


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear hooks being entered and left; checkpoints (``use_reentrant=False``) and ``save_on_cpu``
    are such hooks. A graph may outlive the watch: what was heard holds for the process."""
    if SHOWN:
        return []
    owner = saved_tensors_hooks
    return [
        around(recorder, "packing", owner, "__enter__", PACKING.enters, calm=True),
        around(recorder, "packing", owner, "__exit__", PACKING.leaves, calm=True),
    ]
