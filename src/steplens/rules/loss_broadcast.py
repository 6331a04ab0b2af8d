"""SL504: prediction and target broadcast into a larger tensor on the way to the loss."""

from steplens.model.event import Backward
from steplens.model.graph import Broadcast, GraphReading
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.chains import Lines, shown, stem, users

AVERAGED = frozenset((
    "Mean", "Sum", "Sub", "Rsub", "Add", "Mul", "Div", "Neg", "Pow", "Abs", "Sqrt", "Where",
    "Clamp", "ClampMin", "ClampMax", "Minimum", "Maximum", "MseLoss", "SmoothL1Loss", "HuberLoss",
    "Log", "Log1P", "Cosh", "Relu", "Softplus", "ToCopy", "View", "UnsafeView", "Squeeze",
    "Unsqueeze", "Stack", "Cat", "Expand", "Clone", "LinalgVectorNorm", "Norm", "Sgn",
))  # fmt: skip
PAIRWISE = frozenset(("Mm", "Bmm", "CdistForward", "Cdist", "EuclideanDist", "PdistForward"))
MET = {
    "Mul": "values of shape {} were multiplied by others of {} into {}: each sample met them all",
    "Div": "values of shape {} were divided by others of {} into {}: each sample met them all",
}
RESHAPING = frozenset(("Unsqueeze", "View", "UnsafeView", "ReshapeAlias", "Expand"))


@rule("SL504", "loss-broadcast", "error", needs=("backward",))
class LossBroadcast:
    """Prediction and target broadcast into a larger shape on the way to the loss.

    ## What it does
    Reads the shapes in the graph of the loss: reports an operation, made by a loss function or by
    hand, whose result has more elements than the prediction and the target each, because the
    samples of one were repeated along the samples of the other ([N, 1] and [N] give [N, N]), and
    which is then only summed or averaged; and a product with a matrix that was itself made so, as
    an advantage of returns [N] and values [N, 1]. Where torch does not keep the target's shape, the
    values must show that each row was compared with the same targets.

    ## Why is this bad?
    Every prediction is compared with every target of the batch. The best answer is then the mean of
    the targets, whatever the input. Nothing fails and the loss falls at first.

    ## Example
        loss = ((model(x) - y) ** 2).mean()        # model(x) is [N, 1], y is [N]

    ## Use instead
        loss = ((model(x).squeeze(1) - y) ** 2).mean()

    ## When it is fine
    Weights and masks of shape [N, 1] on values of shape [N, C], several quantiles or ensemble
    members against one target, pairwise losses in which both sides carry a gradient, a dimension
    that was added to the prediction on purpose, and matrices of distances or similarities.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.lines = Lines()

    def backward(self, event: Backward) -> None:
        reading = event.graph
        if reading is None or not reading.broadcasts:
            return
        above = users(reading)
        for broadcast in reading.broadcasts:
            if (
                averaged(reading, above, broadcast.op)
                and not added(reading, broadcast)
                and not pairwise(reading, broadcast)
            ):
                self._found(event, reading, broadcast)

    def _found(self, event: Backward, reading: GraphReading, broadcast: Broadcast) -> None:
        op = reading.ops[broadcast.op]
        at = self.lines.of(op, event.site)
        if self.cases.again(at, event.step + 1):
            return
        source = reading.ops[next(place for place in op.inputs if place >= 0)]
        target = shown(broadcast.target) if broadcast.target else "another shape"
        met = MET.get(
            stem(op),
            "a prediction of shape {} and a target of {} were broadcast to {}: "
            "each sample was compared with all targets",
        )
        self.cases.open(
            at,
            event.step + 1,
            at,
            met.format(shown(broadcast.prediction), target, shown(broadcast.result)),
            label=f"the result has shape {shown(broadcast.result)}",
            because=(
                *because("the prediction was made here", source.site),
                *because("what it met was made here", broadcast.made),
            ),
            evidence=(
                seen("shape on the way to the loss", shown(broadcast.result),
                     shown(broadcast.prediction)),
            ),
            help="give prediction and target the same shape: `pred.squeeze(1)` or "
            "`target.unsqueeze(1)`",
            event=event.index,
        )  # fmt: skip


def averaged(reading: GraphReading, above: dict[int, list[int]], place: int) -> bool:
    """Whether a result is only worked on element by element and then summed, up to the loss."""
    seen_ops, queue = {place}, [place]
    for op in queue:
        if op == 0:
            return True
        for user in above.get(op, ()):
            if user not in seen_ops and stem(reading.ops[user]) in AVERAGED:
                seen_ops.add(user)
                queue.append(user)
    return False


def added(reading: GraphReading, broadcast: Broadcast) -> bool:
    """Whether the dimension that was broadcast was put into the prediction on purpose."""
    op = reading.ops[broadcast.op]
    place = next((place for place in op.inputs if place >= 0), -1)
    if place < 0 or stem(reading.ops[place]) not in RESHAPING:
        return False
    source = next((place for place in reading.ops[place].inputs if place >= 0), -1)
    before = reading.ops[source].shape if source >= 0 else broadcast.prediction
    fewer = len(before) < len(broadcast.prediction)
    return fewer and _full(before) == _full(broadcast.prediction)


def _full(shape: tuple[int, ...]) -> list[int]:
    return [size for size in shape if size != 1]


def pairwise(reading: GraphReading, broadcast: Broadcast) -> bool:
    """Whether the loss works with a matrix of that shape that was made of pairs."""
    return any(op.shape == broadcast.result and stem(op) in PAIRWISE for op in reading.ops)
