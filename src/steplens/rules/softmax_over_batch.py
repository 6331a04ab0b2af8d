"""SL505: softmax over the batch dimension of the output that makes the loss."""

from steplens.model.event import Backward
from steplens.model.graph import GraphReading
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.chains import SHAPING, Lines, shown, stem, users
from steplens.rules.nll_without_log_softmax import proper

CARRIED = SHAPING | {"Log", "Log1P", "Clamp", "ClampMin", "ClampMax", "Add", "Neg"}
PRODUCTS = frozenset(("Mm", "Bmm", "UnsafeView"))


@rule("SL505", "softmax-over-batch", "warning", needs=("backward",))
class SoftmaxOverBatch:
    """Softmax over the samples of a batch, in the output that makes the loss.

    ## What it does
    Reports a softmax or log-softmax over dimension 0 of a tensor with several rows, when the loss
    itself shows that dimension 1 holds the classes: an NLL loss, a pick of one class per row, or a
    target whose rows sum to 1.

    ## Why is this bad?
    The samples of a batch compete with each other instead of the classes. What is said of one
    sample depends on which others are in its batch, and evaluation with another batch size gives
    other answers.

    ## Example
        p = F.softmax(logits, dim=0)               # logits are [batch, classes]

    ## Use instead
        p = F.softmax(logits, dim=1)

    ## When it is fine
    Attention over a set, one sample ([1, N] or a vector), a similarity matrix compared in both
    directions, and any softmax whose classes the loss does not tell: then nothing is said.
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
            if not over_rows(op.shape, op.saved.get("dim")) or stem(op) not in (
                "Softmax", "LogSoftmax",
            ):  # fmt: skip
                continue
            if _similarity(reading, place):
                continue
            above = above if above is not None else users(reading)
            loss = telling(reading, above, place)
            if loss >= 0:
                self._found(event, reading, place, loss)

    def _found(self, event: Backward, reading: GraphReading, place: int, loss: int) -> None:
        op = reading.ops[place]
        at = self.lines.of(op, event.site)
        if self.cases.again(at, event.step + 1):
            return
        other = reading.ops[loss].site
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"softmax over dimension 0 of {shown(op.shape)}: the {op.shape[0]} samples of the "
            "batch, not the classes, sum to 1",
            label="over dimension 0",
            because=because("dimension 1 holds the classes here", other if other != at else None),
            evidence=(seen("dimension of the softmax", 0, 1),),
            help="take the softmax over the classes: `dim=1`",
            event=event.index,
        )


def over_rows(shape: tuple[int, ...], dim: object) -> bool:
    """Whether a dimension is the first of a tensor with several rows and columns."""
    return len(shape) > 1 and shape[0] > 1 and shape[1] > 1 and dim in (0, -len(shape))


def telling(reading: GraphReading, above: dict[int, list[int]], place: int) -> int:
    """The op that shows that dimension 1 of these values holds the classes, -1 for none."""
    shape = reading.ops[place].shape
    improper = {given.op for given in reading.log_probs if not proper(given)}
    seen_ops, queue = {place}, [place]
    for current in queue:
        for user in above.get(current, ()):
            op, name = reading.ops[user], stem(reading.ops[user])
            if user in improper or user in reading.labelled:
                return user
            if name == "Gather" and op.saved.get("dim") in (1, 1 - len(shape)):
                return user
            if name == "Index" and op.saved.get("picked") == 2 and op.shape == shape[:1]:
                return user
            if name in CARRIED and op.shape == shape and user not in seen_ops:
                seen_ops.add(user)
                queue.append(user)
    return -1


def _similarity(reading: GraphReading, place: int) -> bool:
    """Whether the values are a square matrix of products of two tensors that both were made."""
    shape = reading.ops[place].shape
    if len(shape) != 2 or shape[0] != shape[1]:
        return False
    for _ in range(4):
        place = next((source for source in reading.ops[place].inputs if source >= 0), -1)
        if place < 0:
            return False
        if stem(reading.ops[place]) in PRODUCTS:
            return not reading.ops[place].leaves
    return False
