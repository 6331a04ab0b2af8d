"""Graphs made by forwards in eval mode, and which of them died: a token in a graph's node dies with
it."""

import weakref
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from steplens.model.event import Idle
from steplens.record import members
from steplens.record.graph import ACCUMULATE, Walk
from steplens.record.marks import unmark
from steplens.record.saved import saved_tensors

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

MEASURED = 2  # forwards of each module whose graph is measured
KEY = "steplens.idle"  # in grad_fn.metadata
WATCHED = 256  # graphs watched at once


class Token:
    """Lies in the metadata of a graph's last node and dies with it."""

    __slots__ = ("__weakref__",)


class IdleGraphs:
    """The graphs watched, by the Forward event that made them, and those that have died since."""

    def __init__(self) -> None:
        self.alive: dict[int, tuple[weakref.ref[Token], int, int]] = {}
        self.outputs: dict[int, weakref.ref[torch.Tensor]] = {}
        self.dead: deque[int] = deque()
        self.measured: dict[int, int] = {}

    def watch(
        self, index: int, number: int, module: nn.Module, outputs: Sequence[torch.Tensor]
    ) -> None:
        """Watch the graph behind the first of these outputs that has one."""
        output = next((tensor for tensor in outputs if tensor.grad_fn is not None), None)
        if output is None or len(self.alive) >= WATCHED:
            return
        node: Any = output.grad_fn
        token = Token()
        node.metadata[KEY] = token
        self.outputs[index] = weakref.ref(output)
        nodes = held = -1
        count = self.measured[number] = self.measured.get(number, 0) + 1
        if count <= MEASURED:
            walk = Walk([output])
            nodes, held = len(walk.nodes), _bytes(walk, module)
        dead = self.dead
        self.alive[index] = (weakref.ref(token, lambda _: dead.append(index)), nodes, held)

    def flush(self, recorder: "Recorder") -> None:
        """Tell of the graphs that have died, outside of the garbage collector's hands."""
        while self.dead:
            forward = self.dead.popleft()
            _, nodes, held = self.alive.pop(forward, (None, -1, -1))
            self.outputs.pop(forward, None)
            site = recorder.forwards.sites.get(forward)
            recorder.emit(Idle(recorder.index(), recorder.step, site, forward, nodes, held))

    def let_go(self) -> None:
        """The run is over: take the tokens out of the graphs that outlive it."""
        outputs = [output for ref in self.outputs.values() if (output := ref()) is not None]
        self.outputs.clear()
        for output in outputs:
            node: Any = output.grad_fn
            if node is not None:
                node.metadata.pop(KEY, None)
        tokens = [ref() for ref, _, _ in self.alive.values()]
        unmark([token for token in tokens if token is not None], KEY)


def _bytes(walk: Walk, module: nn.Module) -> int:
    """The bytes of the tensors that the graph has saved, each storage once, parameters left out."""
    known = {_storage(tensor) for tensor in (*members.parameters(module), *members.buffers(module))}
    total = 0
    for node in walk.nodes:
        if type(node) is ACCUMULATE:
            continue
        for tensor in saved_tensors(node):
            storage = _storage(tensor)
            if storage not in known:
                known.add(storage)
                total += tensor.numel() * tensor.element_size()
    return total


def _storage(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except Exception:  # fake, sparse and functional tensors
        return -1
