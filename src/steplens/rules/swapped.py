"""Swapped: sizes that a view exchanged with nothing moved in memory, as SL508 tells of them."""

from steplens.model.event import Backward
from steplens.model.graph import GraphReading, Op
from steplens.rules.base import Cases, because, seen
from steplens.rules.chains import VIEWS, Lines, shown, stem, users

# layers whose output has its features last; a linear one of three dimensions is a view of a product
LAST = frozenset(("Embedding", "Addmm", "Mm", "Linear", "NativeLayerNorm"))
POINTWISE = frozenset((
    "Relu", "LeakyRelu", "Gelu", "Elu", "Silu", "Tanh", "Sigmoid", "Div", "NativeDropout", "ToCopy",
))  # fmt: skip
SOFT, LOSS = "LogSoftmax", "NllLoss2D"
DEEP = 6  # ops between the layer and the view
MAPS = 3  # dimensions: samples, places, features


class Swapped:
    """Reports the view of what a layer gave with its features last, (samples, places, features), to
    (samples, features, places), for a convolution or the cross-entropy of each place, which take
    the features in dimension 1: in memory they still lie last."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.views = Lines()

    def backward(self, event: Backward, reading: GraphReading) -> None:
        """A backward whose graph was read."""
        takers: dict[int, list[int]] | None = None
        for place, op in enumerate(reading.ops):
            rows = _rows(reading, op)
            if rows is not None:
                takers = takers or users(reading)
                taker = _taker(reading, takers, place)
                if taker is not None:
                    self._open(event, op, rows, taker)

    def _open(self, event: Backward, view: Op, rows: tuple[int, ...], taker: Op) -> None:
        at, other = self.views.of(view, event.site), taker.site
        if self.cases.again(at, event.step + 1):
            return
        what = "convolution" if stem(taker) == "Convolution" else "loss"
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"a view made {shown(rows)} into {shown(view.shape)} and moved nothing: the "
            f"{view.shape[1]} channels that the {what} takes are not the {rows[2]} features of the "
            "layer before",
            label="the features are last before this, and still are in memory",
            because=because(
                f"this {what} takes them in dimension 1",
                other if at and other and other.line != at.line else None,
            ),
            evidence=(seen("features of one place, in memory", "side by side", "one per channel"),),
            help="swap dimensions by `transpose(1, 2)` or `permute`",
            event=event.index,
        )


def _rows(reading: GraphReading, view: Op) -> tuple[int, ...] | None:
    """The shape that a view exchanged the last two sizes of, where a layer gave it."""
    if stem(view) not in VIEWS or len(view.shape) != MAPS or not view.inputs or view.inputs[0] < 0:
        return None
    samples, channels, places = view.shape
    place = view.inputs[0]
    shape = reading.ops[place].shape
    if shape != (samples, places, channels) or channels == places or 1 in (channels, places):
        return None
    for _ in range(DEEP):
        op = reading.ops[place]
        name = stem(op)
        flat = name in ("Addmm", "Mm") and op.shape == (samples * places, channels)
        if flat or (name in LAST and op.shape == shape):
            return shape
        unfolds = name in VIEWS and op.shape == shape
        biased = name == "Add" and op.shape == shape and op.inputs[1:] in ((), (-1,))
        if not op.inputs or op.inputs[0] < 0 or not (unfolds or biased or name in POINTWISE):
            return None
        place = op.inputs[0]
    return None


def _taker(reading: GraphReading, takers: dict[int, list[int]], view: int) -> Op | None:
    """The convolution along the places, or the loss of each place, that alone takes the view."""
    shape, place, soft = reading.ops[view].shape, view, False
    for _ in range(DEEP):
        above = takers.get(place, ())
        if len(above) != 1:
            return None
        op = reading.ops[above[0]]
        name = stem(op)
        if name == "Convolution":
            return op if len(op.shape) == MAPS and op.inputs[0] == place else None
        if name == LOSS and soft:
            return op
        soft = soft or (name == SOFT and op.saved.get("dim") == 1)
        shapes = op.shape == shape or op.shape == (*shape[:2], 1, shape[2])
        if not shapes or name not in POINTWISE | VIEWS | {"Unsqueeze", SOFT}:
            return None
        place = above[0]
    return None
