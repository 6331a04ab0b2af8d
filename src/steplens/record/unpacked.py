"""Unpacked: a step of padded sequences that is read for all of them, where some have ended."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from steplens.model.event import Vain
from steplens.model.graph import GraphReading
from steplens.model.newest import Newest
from steplens.record.graph import Walk, sequence_number
from steplens.record.nodes import kept, shape_at
from steplens.record.saved import signed
from steplens.record.sought import Sought
from steplens.record.wrap import overhear

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

KEPT = 16  # batches of sequences that were unpacked last


class Unpacked(Sought):
    """The lengths of the sequences that ``pad_packed_sequence`` gave out last, by the sequence
    number of the graph node that made them, and in which dimension their steps lie.

    Behind its end a sequence holds the padding value, 0 unless another was asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made = Newest[int, tuple[torch.Tensor, int]](KEPT)

    def look(self, recorder: "Recorder", walk: Walk, reading: GraphReading) -> None:
        """Find the sequences in a graph, and what one step alone was read of."""
        if not self.made:
            return
        self.left -= 1
        nodes = walk.operations()
        users: dict[Any, list[Any]] = {}
        for node in nodes:
            for child, _ in node.next_functions:
                users.setdefault(child, []).append(node)
        sites = {node: op.site for node, op in zip(nodes, reading.ops, strict=False)}
        for node in nodes:
            known = self.made.get(sequence_number(node))
            read = _read(node, known[1], users) if known is not None else None
            site = sites.get(read[0]) if read is not None else None
            if known is None or read is None or site is None or site in self.told:
                continue
            over = int((known[0] <= read[1]).sum())
            if over:
                self.told.add(site)
                at = recorder.index(), recorder.step, site
                step, many = str(read[1] + 1), len(known[0])
                recorder.emit(Vain(*at, "ended", step, value=over, of=many))


def install(recorder: "Recorder") -> list[Callable[[], None]]:
    """Hear the function that `torch.nn.utils.rnn` calls: programs import that one's own by name."""
    unpacked = recorder.unpacked

    def heard(result: Any, *given: Any, **_: Any) -> None:
        padded, lengths = result
        if padded.grad_fn is not None:
            batch_first = given[2] if len(given) > 2 else False
            unpacked.made[sequence_number(padded.grad_fn)] = lengths, int(batch_first)

    name = "_pad_packed_sequence"
    return [overhear(recorder, "unpacked", torch._VF, name, lambda: unpacked.left > 0, heard)]


def _read(node: Any, steps: int, users: dict[Any, list[Any]]) -> tuple[Any, int] | None:
    """The node that selects one step of what a node made, and which, counted from 0, if nothing
    else is made of that; the sequences may be put in another order before, and the dimensions."""
    while len(users.get(node, ())) == 1:
        made, node = node, users[node][0]
        name, shape = node.name(), shape_at(made)
        if steps >= len(shape):  # torch 2.4 tells no shapes
            return None
        if name == "TransposeBackward0":
            swapped = [signed(kept(node, end)) % len(shape) for end in ("dim0", "dim1")]
            if steps in swapped:
                steps = sum(swapped) - steps
        elif name == "SelectBackward0":
            if signed(kept(node, "dim")) % len(shape) != steps:
                return None
            return node, signed(kept(node, "index")) % shape[steps]
        elif name == "SliceBackward0":  # older torch makes one of each `:`
            if shape_at(node) != shape:
                return None
        elif name != "IndexSelectBackward0" or kept(node, "dim") == steps:
            return None
    return None
