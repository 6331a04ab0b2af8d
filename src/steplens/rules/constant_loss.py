"""SL607: the gradients are exactly zero from the first step on."""

from steplens.model.event import Backward, Values
from steplens.model.graph import GraphReading
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen

LOOKS = 5
FLAT = {"RoundBackward0": "round", "SignBackward0": "sign", "FloorBackward0": "floor",
        "CeilBackward0": "ceil", "TruncBackward0": "trunc"}  # fmt: skip


class Past:
    """The looks at one optimizer so far."""

    __slots__ = ("looks", "losses", "open", "why")

    def __init__(self) -> None:
        self.looks = 0
        self.losses: set[float] = set()
        self.open = True  # no gradient but zero so far
        self.why: tuple[str, Site | None] = ("", None)


@rule("SL607", "constant-loss", "error", needs=("values",))
class ConstantLoss:
    """Steps whose gradients were exactly zero in every parameter, from the first one on.

    ## What it does
    Reports an optimizer whose steps used gradients that were exactly zero in all parameters at each
    of the first five looks, when the loss was the same number each time, or when its graph holds
    what makes it so: a softmax or log-softmax over a single class, or `round`, `sign` and the like.

    ## Why is this bad?
    The loss does not depend on the parameters: cross-entropy over one class is 0 whatever the model
    says, and a rounded or clamped output has no slope. Nothing will be learnt.

    ## Example
        loss = F.cross_entropy(model(x), torch.zeros(n, dtype=torch.long))   # one output

    ## Use instead
        loss = F.binary_cross_entropy_with_logits(model(x).squeeze(1), y)

    ## When it is fine
    A run in which any look showed a gradient is not reported: converged models and masked batches
    have none now and then. A loss of exactly 0 is reported only where the graph says why, as hinge
    losses, and policy gradients without a reward, are 0 on purpose. A loss that is not 0 and varies
    while the gradients are zero is a note.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.past: dict[int, Past] = {}
        self.backwards: dict[int, Backward] = {}
        self.newest: Backward | None = None

    def backward(self, event: Backward) -> None:
        self.newest = event

    def values(self, event: Values) -> None:
        if not event.full or not event.tensors:
            return
        past = self.past.get(event.optimizer)
        if past is None:
            if len(self.past) >= 256:
                del self.past[next(iter(self.past))]
            past = self.past[event.optimizer] = Past()
        if event.gradient != 0 or event.bad:
            if past.open and self.cases.findings:
                self.cases.withdraw(event.optimizer)
            past.open = False
        if not past.open:
            return
        past.looks += 1
        if event.loss is not None and len(past.losses) < 8:
            past.losses.add(event.loss)
        graph = self.newest.graph if self.newest is not None else None
        if graph is not None and not past.why[0]:
            past.why = flat(graph)
        if (
            past.looks >= LOOKS
            and past.losses
            and not self.cases.again(event.optimizer, event.step)
        ):
            self.tell(event, past, graph)

    def tell(self, event: Values, past: Past, graph: GraphReading | None) -> None:
        reason, place = past.why
        if past.losses == {0.0} and not reason:
            return
        same = len(past.losses) == 1
        made = graph.ops[0].site if graph is not None and graph.ops else None
        ran = self.newest.site if self.newest is not None else None
        at = place or made or ran or event.site
        values = "the same" if same else "not the same"
        self.cases.open(
            event.optimizer,
            event.step - past.looks + 1,
            at,
            f"all gradients were exactly zero at the first {past.looks} looks"
            + (f": {reason}" if reason else ""),
            label=reason or "this loss has no slope",
            because=because("this backward gave them", ran if ran != at else None),
            evidence=(
                seen("|gradient|", 0.0, "above 0"),
                seen("tensors with a gradient", event.tensors),
                seen("loss", f"{values} at {past.looks} looks, now {event.loss or 0.0:.4g}"),
            ),
            help="make the loss depend on the model's output: one output goes with "
            "`binary_cross_entropy_with_logits`, and rounding belongs after the loss",
            severity=None if same or reason else "note",
            event=event.index,
        )


def flat(graph: GraphReading) -> tuple[str, Site | None]:
    """What in the graph makes the loss constant, in words, and where."""
    for op in graph.ops:
        if op.name in ("LogSoftmaxBackward0", "SoftmaxBackward0") and op.shape:
            dim = op.saved.get("dim", -1)
            size = len(op.shape)
            if isinstance(dim, int) and -size <= dim < size and op.shape[dim] == 1:
                return "its softmax is over a single class", op.site
        if op.name in FLAT:
            return f"`{FLAT[op.name]}` has no slope", op.site
    return "", None
