"""Cut up: maps of classes that a view made into rows of neighbours, as SL508 tells of them."""

from math import prod

from steplens.model.event import Backward
from steplens.model.graph import GraphReading, Op
from steplens.rules.base import Cases, because, seen
from steplens.rules.chains import VIEWS, Lines, shown, stem

LOSSES = frozenset(("NllLoss", "NllLossNd"))
SOFT = "LogSoftmax"
# what leaves the channels in dimension 1
POINTWISE = frozenset((
    "Relu", "LeakyRelu", "Gelu", "Elu", "Silu", "Mul", "Div", "Add", "Clone", "Contiguous",
    "UpsampleNearest1D", "UpsampleNearest2D", "UpsampleBilinear2D", "UpsampleLinear1D",
    "NativeBatchNorm",
))  # fmt: skip
DEEP = 6  # ops between the view and the convolution
MAPS = 3  # dimensions: samples, channels, places


class CutUp:
    """Reports the view of a convolution's output, (samples, classes, places), to as many rows as
    there are samples and places, whose softmax a loss of one label per row takes: in memory the
    places of one class lie side by side, so that a row holds one class at several places."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.views, self.losses = Lines(), Lines()

    def backward(self, event: Backward, reading: GraphReading) -> None:
        """A backward whose graph was read."""
        for op in reading.ops:
            if stem(op) not in LOSSES or not op.inputs or op.inputs[0] < 0:
                continue
            soft = reading.ops[op.inputs[0]]
            if stem(soft) == SOFT and len(soft.shape) == MAPS - 1 and soft.inputs:
                maps = _maps(reading, soft.inputs[0], soft.shape)
                if maps is not None:
                    self._open(event, op, reading.ops[soft.inputs[0]], maps)

    def _open(self, event: Backward, loss: Op, view: Op, maps: tuple[int, ...]) -> None:
        at, rows = self.views.of(view, event.site), view.shape
        other = self.losses.of(loss, event.site)
        if self.cases.again(at, event.step + 1):
            return
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"a view made {shown(maps)} into {shown(rows)} without moving the classes last: each "
            f"row holds one class at {rows[1]} places, not the {rows[1]} classes of one",
            label="the classes are in dimension 1 before this",
            because=because(
                "this loss takes one label for each row", other if other != at else None
            ),
            evidence=(seen("places whose values lie in one row", rows[1], 1),),
            help="use `permute` or `movedim` to bring the classes last, then reshape; or give "
            "`cross_entropy` the maps as they are",
            event=event.index,
        )


def _maps(reading: GraphReading, view: int, rows: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of the convolution's output that ends, through views alone, as these rows."""
    place = view
    while place >= 0 and stem(reading.ops[place]) in VIEWS and reading.ops[place].inputs:
        place = reading.ops[place].inputs[0]
    if place in (view, -1):
        return None
    shape = reading.ops[place].shape
    if len(shape) < MAPS or shape[1] != rows[1] or shape[-1] == rows[1]:
        return None
    for _ in range(DEEP):
        op = reading.ops[place]
        if stem(op) == "Convolution":
            places = prod(shape[2:])
            return shape if places > 1 and rows[0] == shape[0] * places else None
        if stem(op) not in POINTWISE or op.shape[:2] != shape[:2] or not op.inputs:
            return None
        place = op.inputs[0]
        if place < 0:
            return None
    return None
