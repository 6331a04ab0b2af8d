"""Following values through the ops of a GraphReading: what was fed to a loss, and what made it."""

from collections.abc import Callable, Iterable, Iterator

from steplens.model.graph import GraphReading, Op
from steplens.model.site import Site

KEEPING = frozenset((
    "View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute", "Transpose", "T",
    "Index", "IndexSelect", "Gather", "MaskedSelect", "Slice", "Select", "Narrow", "ToCopy",
    "Clone", "Alias", "AsStrided", "Expand", "Split", "SplitWithSizes", "Unbind", "Chunk", "Copy",
    "MovedimInt", "Flatten", "Unflatten", "TakeAlongDim",
))  # fmt: skip
SHAPING = frozenset(("View", "UnsafeView", "ReshapeAlias", "ToCopy", "Clone", "Alias", "Copy"))
VIEWS = frozenset(("View", "UnsafeView", "ReshapeAlias"))
JOINING = frozenset(("Cat", "Stack"))
LOGS = frozenset((
    "LogSoftmax", "Log", "Log1P", "Log2", "Log10", "Logsumexp", "LogSigmoid", "Logcumsumexp",
    "Logaddexp", "Logaddexp2", "Xlogy",
))  # fmt: skip
MIXING = frozenset((
    "Addmm", "Mm", "Bmm", "Baddbmm", "Addbmm", "Mv", "Addmv", "Dot", "Convolution", "Embedding",
    "MkldnnRnnLayer", "CudnnRnn", "Linear", "NativeLayerNorm", "NativeBatchNorm", "NativeGroupNorm",
))  # fmt: skip
LOOKED = 200  # ops visited at most


def stem(op: Op) -> str:
    """``LogSoftmax`` of ``LogSoftmaxBackward0``; '' for an op that is not torch's own."""
    head, found, tail = op.name.partition("Backward")
    return head if found and tail.isdigit() else ""


def fed(
    reading: GraphReading,
    start: int,
    wanted: Iterable[str],
    through: frozenset[str] = KEEPING,
) -> int:
    """The op among ``wanted`` whose values ``start`` was given, through ops that only move them;
    -1 for none. Of joined tensors every part must come from one."""
    names = frozenset(wanted)
    place = reading.ops[start].inputs[0] if reading.ops[start].inputs else -1
    for _ in range(32):
        if place < 0:
            return -1
        op = reading.ops[place]
        name = stem(op)
        if name in names:
            return place
        if name in JOINING and op.inputs and through is KEEPING:
            parts = [_part(reading, part, names) for part in op.inputs]
            return parts[0] if all(part >= 0 for part in parts) else -1
        if name not in through or not op.inputs:
            return -1
        place = op.inputs[0]
    return -1


def given_by(reading: GraphReading, loss: int) -> int:
    """The op whose values a loss was given, in another shape perhaps; -1 for none."""
    place = loss
    for _ in range(32):
        inputs = reading.ops[place].inputs
        place = inputs[0] if inputs else -1
        if place < 0 or stem(reading.ops[place]) not in SHAPING:
            break
    return place


def _part(reading: GraphReading, place: int, names: frozenset[str]) -> int:
    if place < 0:
        return -1
    return place if stem(reading.ops[place]) in names else fed(reading, place, names)


def users(reading: GraphReading) -> dict[int, list[int]]:
    """Which ops took each op's output."""
    found: dict[int, list[int]] = {}
    for place, op in enumerate(reading.ops):
        for source in op.inputs:
            if source >= 0:
                found.setdefault(source, []).append(place)
    return found


def below(reading: GraphReading, start: int, stop: Callable[[str], bool]) -> Iterator[int]:
    """The ops that ``start`` was made of, itself included, no further than those at which ``stop``
    says so."""
    seen = {start}
    queue = [start] if reading.ops else []  # the graph of a leaf has none
    for place in queue:
        yield place
        if len(seen) > LOOKED or stop(stem(reading.ops[place])):
            continue
        for source in reading.ops[place].inputs:
            if source >= 0 and source not in seen:
                seen.add(source)
                queue.append(source)


class Lines:
    """The user's lines that made the ops of losses, remembered for later passes, in which line
    detail is off."""

    def __init__(self) -> None:
        self.known: dict[Site | None, Site] = {}

    def of(self, op: Op, backward: Site | None) -> Site | None:
        """The line that made an op; the one known of this backward's earlier passes, or else the
        backward's own."""
        if op.site is None:
            return self.known.get(backward, backward)
        self.known.setdefault(backward, op.site)
        return op.site


def output(name: str, op: Op) -> str:
    """What an operation gave, its shape with it: torch 2.4 tells none."""
    return f"{name} output {shown(op.shape)}" if op.shape else f"{name} output"


def shown(shape: tuple[int, ...]) -> str:
    """A shape as a person writes it: ``[32, 1]``."""
    return f"[{', '.join(map(str, shape))}]"
