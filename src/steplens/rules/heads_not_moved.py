"""SL525: attention heads that a view split or joined without moving the dimensions."""

from math import prod

from steplens.model.event import Backward
from steplens.model.graph import GraphReading, Op
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen
from steplens.rules.chains import VIEWS, Lines, shown, stem

LAYERS = frozenset(("Addmm", "Mm", "Linear"))
MOVING = VIEWS | {"Add", "ToCopy"}  # the bias of a layer of three dimensions is added to a view
COPYING = VIEWS | {"Clone", "ToCopy"}
DEEP = 6  # ops between a view and the layer or product before it


@rule("SL525", "heads-not-moved", "warning", needs=("backward",))
class HeadsNotMoved:
    """Attention heads that a view split or joined without moving the dimensions.

    ## What it does
    Reports a view that makes what a linear layer gave, [batch, time, heads * size], into [batch,
    heads, time, size], or what a product of attention gave, [batch, heads, time, size], into
    [batch, time, heads * size], where heads and time are of different sizes.

    ## Why is this bad?
    A view moves nothing. In memory the features of one time step lie side by side, so that such a
    head holds all features of some time steps instead of some features of all; joined in this way,
    a row holds one head at several time steps. Shapes are right, and the model still learns
    something.

    ## Example
        q = self.query(x).view(batch, heads, time, size)
        out = (weights @ v).reshape(batch, time, heads * size)

    ## Use instead
        q = self.query(x).view(batch, time, heads, size).transpose(1, 2)
        out = (weights @ v).transpose(1, 2).reshape(batch, time, heads * size)

    ## When it is fine
    A view through [batch, time, heads, size] and a `transpose`; chunks of time, which leave the
    features as they are; as many heads as time steps, where sizes do not tell.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.lines = Lines()

    def backward(self, event: Backward) -> None:
        reading = event.graph
        for op in reading.ops if reading is not None else ():
            if reading is None or stem(op) not in VIEWS or not op.inputs or op.inputs[0] < 0:
                continue
            before = reading.ops[op.inputs[0]].shape
            if _parted(op.shape, before) and _made(reading, op, before, LAYERS, MOVING):
                self._open(event, op, before, "split", "view(b, t, heads, size).transpose(1, 2)")
            elif _parted(before, op.shape) and _made(reading, op, before, ("Bmm",), COPYING):
                self._open(event, op, before, "joined", "transpose(1, 2).reshape(b, t, -1)")

    def _open(self, event: Backward, op: Op, before: tuple[int, ...], how: str, right: str) -> None:
        at = self.lines.of(op, event.site)
        if self.cases.again(at, event.step + 1):
            return
        four = op.shape if how == "split" else before
        _, heads, time, size = four
        holds = (
            f"all {heads * size} features of some time steps"
            if how == "split"
            else f"one head at {heads} time steps or parts of them"
        )
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"a view made {shown(before)} into {shown(op.shape)} and moved nothing: "
            f"{'a head' if how == 'split' else 'a row'} holds {holds}",
            label=f"{heads} heads are {how} here",
            evidence=(
                seen("heads, time steps, size of a head", f"{heads}, {time}, {size}"),
                seen("dimensions moved", 0, "heads and time exchanged"),
            ),
            help=f"exchange heads and time: `{right}`",
            event=event.index,
        )


def _parted(four: tuple[int, ...], three: tuple[int, ...]) -> bool:
    """Whether these are [batch, heads, time, size] and [batch, time, heads * size], of different
    numbers of heads and time steps."""
    if len(four) != 4 or len(three) != 3:
        return False
    batch, heads, time, size = four
    return min(heads, time, size) > 1 and heads != time and three == (batch, time, heads * size)


def _made(
    reading: GraphReading,
    view: Op,
    shape: tuple[int, ...],
    makers: frozenset[str] | tuple[str, ...],
    through: frozenset[str],
) -> bool:
    """Whether one of ``makers`` gave what a view was given, as it lies in memory."""
    place = view.inputs[0]
    count = prod(shape)
    for _ in range(DEEP):
        op = reading.ops[place]
        name = stem(op)
        if prod(op.shape) != count:
            return False
        if name in makers or (name.startswith("ScaledDotProduct") and "Bmm" in makers):
            return True
        if name not in through or not op.inputs or op.inputs[0] < 0:
            return False
        place = op.inputs[0]
    return False
