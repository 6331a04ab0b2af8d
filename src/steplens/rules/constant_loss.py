"""SL607: the gradients are exactly zero from the first step on."""

from steplens.model.event import Backward, End, Values
from steplens.model.graph import GraphReading
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.slopes import Past, flat, flattening

LOOKS = 5


@rule("SL607", "constant-loss", "error", needs=("values",))
class ConstantLoss:
    """Steps whose gradients were exactly zero in every parameter, from the first one on.

    ## What it does
    Reports an optimizer whose steps used gradients that were exactly zero in all parameters at each
    of the first five looks, when the loss was the same number each time, or when its graph holds
    what makes it so: a softmax or log-softmax over a single class, or `round`, `sign` and the like.
    Notes gradients that were there at first, and exactly zero at the last five looks of the run and
    at all between them, with a loss that is not 0: a last relu that has died.

    ## Why is this bad?
    The loss does not depend on the parameters: cross-entropy over one class is 0 whatever the model
    says, and a rounded or clamped output has no slope. Nothing will be learnt.

    ## Example
        loss = F.cross_entropy(model(x), torch.zeros(n, dtype=torch.long))   # one output

    ## Use instead
        loss = F.binary_cross_entropy_with_logits(model(x).squeeze(1), y)

    ## When it is fine
    Converged models and masked batches have no gradient now and then, and a run in which a later
    look showed one is not reported. A loss of exactly 0 is reported only where the graph says why,
    as hinge losses, and policy gradients without a reward, are 0 on purpose. A loss that is not 0
    and varies while the gradients are zero is a note.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.past = Newest[int, Past](256)
        self.backwards: dict[int, Backward] = {}
        self.newest: Backward | None = None

    def backward(self, event: Backward) -> None:
        self.newest = event

    def values(self, event: Values) -> None:
        if not event.full or not event.tensors:
            return
        past = self.past.get(event.optimizer)
        if past is None:
            past = self.past[event.optimizer] = Past()
        if event.gradient != 0 or event.bad:
            if past.open and self.cases.findings:
                self.cases.withdraw(event.optimizer)
            past.open = False
        graph = self.newest.graph if self.newest is not None else None
        if graph is not None and past.end[1] is None:
            past.end = flattening(graph)
        if not past.open:
            past.later(event)
            return
        past.looks += 1
        if event.loss is not None and len(past.losses) < 8:
            past.losses.add(event.loss)
        if graph is not None and not past.why[0]:
            past.why = flat(graph)
        if (
            past.looks >= LOOKS
            and past.losses
            and not self.cases.again(event.optimizer, event.step)
        ):
            self.tell(event, past, graph)

    def end(self, event: End) -> None:
        for number, past in self.past.items():
            seen_last = past.seen
            if past.zeros >= LOOKS and seen_last is not None and number not in self.cases.findings:
                self._died(number, past, seen_last)

    def _died(self, number: int, past: Past, last: Values) -> None:
        """The gradients of a run have gone to zero, and stayed there."""
        name, place = past.end
        self.cases.open(
            number,
            past.since,
            place or last.site,
            f"all gradients have been exactly zero since step {past.since}, and the loss is not 0"
            + (f": the output of `{name}` has no slope there" if name else ""),
            label=f"`{name}` just below the loss" if place else "stepped here, with nothing to use",
            because=because("stepped here, with nothing to use", last.site if place else None),
            evidence=(
                seen("|gradient|", 0.0, "above 0"),
                seen("looks since, the last included", past.zeros),
                seen("loss", float(last.loss or 0.0)),
            ),
            help="leave out the last activation, or keep its input where it has a slope",
            severity="note",
            event=last.index,
        )

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
