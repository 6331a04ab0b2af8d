"""SL522: a focal loss whose weight is computed of the mean loss instead of each sample's."""

from collections.abc import Iterator
from math import prod

from steplens.model.event import Backward
from steplens.model.graph import GraphReading, Op
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.chains import Lines, below, shown, stem, users

LOSSES = frozenset((
    "NllLoss", "NllLoss2D", "NllLossNd", "BinaryCrossEntropy", "BinaryCrossEntropyWithLogits",
))  # fmt: skip
REDUCING = frozenset(("Mean", "Sum"))
SCALING = frozenset(("Neg", "Mul", "Div"))  # what a factor passes on its way to the product
WEIGHING = SCALING | {"Rsub", "Sub", "Add", "Pow", "Clamp", "ClampMin", "ClampMax"}


@rule("SL522", "weighted-by-the-mean", "warning", needs=("backward",))
class WeightedByTheMean:
    """A loss weighted by a function of its own mean: every sample has the same weight.

    ## What it does
    Reports a product of a reduced classification loss `L` and a factor computed of `exp(-L)`, such
    as `(1 - exp(-L)) ** 2 * L`, when `L` is the mean or the sum over several samples.

    ## Why is this bad?
    A focal loss weights each sample by how sure the model is of it: the hard ones count, the easy
    ones hardly. Of the mean loss there is one weight for all. The gradient is that of the plain
    loss at another learning rate, one that falls as the loss does, and the rare class stays as rare
    as it was.

    ## Example
        ce = F.cross_entropy(logits, y)
        loss = ((1 - torch.exp(-ce)) ** 2 * ce).mean()

    ## Use instead
        ce = F.cross_entropy(logits, y, reduction="none")
        loss = ((1 - torch.exp(-ce)) ** 2 * ce).mean()

    ## When it is fine
    A loss of one value per sample; one sample; a weight that is a parameter, as in
    `exp(-s) * loss + s`; an `exp` of a loss that multiplies something else, as a perplexity.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.lines = Lines()

    def backward(self, event: Backward) -> None:
        reading = event.graph
        if reading is None:
            return
        above: dict[int, list[int]] | None = None
        for place, op in enumerate(reading.ops):
            loss = _of_a_loss(reading, place) if stem(op) == "Exp" and not op.shape else -1
            if loss < 0:
                continue
            above = above if above is not None else users(reading)
            if any(_weighs(reading, product, place, loss) for product in _above(above, place)):
                self._found(event, reading, place, loss)

    def _found(self, event: Backward, reading: GraphReading, place: int, loss: int) -> None:
        op, weight = reading.ops[loss], reading.ops[place].site
        at = self.lines.of(op, event.site)
        if self.cases.again(at, event.step + 1):
            return
        self.cases.open(
            at,
            event.step + 1,
            at,
            "the weight of this loss is computed of one number, the loss of all samples: each of "
            "them is weighted alike",
            label="reduced to one number here",
            because=because("the weight is computed of it here", weight if weight != at else None),
            evidence=(seen("weights", 1, f"one for each of {shown(_samples(reading, op))}"),),
            help='ask the loss for each sample, `reduction="none"`, weight these, and take the '
            "mean last",
            event=event.index,
        )


def _of_a_loss(reading: GraphReading, place: int) -> int:
    """The reduced loss of several samples whose negative an `exp` was given, -1 for none."""
    for name in ("Exp", "Neg"):
        op = reading.ops[place]
        if stem(op) != name or not op.inputs or op.inputs[0] < 0:
            return -1
        place = op.inputs[0]
    op = reading.ops[place]
    return place if not op.shape and prod(_samples(reading, op)) > 1 else -1


def _samples(reading: GraphReading, op: Op) -> tuple[int, ...]:
    """The shape of the losses, one for each sample, that an op reduced to one number; () for any
    other op."""
    source = op.inputs[0] if op.inputs else -1
    shape = reading.ops[source].shape if source >= 0 else ()
    if stem(op) in LOSSES and op.saved.get("reduction"):
        classes = stem(op).startswith("Nll")  # on dimension 1, or the only one of a single sample
        return (*shape[:-1][:1], *shape[2:]) if classes else shape
    return shape if stem(op) in REDUCING and source >= 0 and _losses(reading, source) else ()


def _losses(reading: GraphReading, source: int) -> bool:
    """Whether these are the losses of samples, weighted perhaps."""
    return any(stem(reading.ops[each]) in LOSSES for each in _through(reading, source, SCALING))


def _through(reading: GraphReading, start: int, names: frozenset[str]) -> Iterator[int]:
    return below(reading, start, lambda name: name not in names)


def _above(above: dict[int, list[int]], start: int) -> Iterator[int]:
    met, queue = {start}, [start]
    for place in queue:
        for user in above.get(place, ()):
            if user not in met and len(met) < 64:
                met.add(user)
                queue.append(user)
                yield user


def _weighs(reading: GraphReading, product: int, place: int, loss: int) -> bool:
    """Whether an op multiplies the loss, or its negative, by a factor made of the `exp`."""
    op = reading.ops[product]
    if stem(op) != "Mul" or len(op.inputs) != 2 or min(op.inputs) < 0:
        return False
    return any(
        loss in _through(reading, one, SCALING)
        and place not in _through(reading, one, WEIGHING)
        and place in _through(reading, other, WEIGHING)
        for one, other in (op.inputs, op.inputs[::-1])
    )
