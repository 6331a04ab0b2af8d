"""SL214: a term of the loss that was cut off from what it was computed from."""

from steplens.model.event import Term
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL214", "term-without-gradient", "warning", needs=("backward",))
class TermWithoutGradient:
    """A term of the loss that was cut off from what it was computed from.

    ## What it does
    Reports a loss to which a number without a graph is added that was computed from what is being
    trained, when an operation without a derivative (a comparison, `argmax`, a cast to integers) or
    `autograd.grad` without `create_graph=True` cut it off. It follows the values through one step.

    ## Why is this bad?
    The term is in the number that is printed, and in no gradient: training goes as if it were not
    there. A Dice loss of thresholded predictions, or a gradient penalty of plain gradients, weighs
    nothing.

    ## Example
        predicted = (torch.sigmoid(logits) > 0.5).float()
        loss = bce(logits, y) + 1 - 2 * (predicted * y).sum() / (predicted.sum() + y.sum())

    ## Use instead
        predicted = torch.sigmoid(logits)

    ## When it is fine
    Values that `detach`, `item` or `no_grad` took out, factors and masks (what is multiplied, not
    added), straight-through estimates, choices by which values with a graph are indexed (the margin
    of a structured hinge), and sums that are shown and not backwarded are not reported.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def term(self, event: Term) -> None:
        cause = event.site or event.how
        if self.cases.again(cause, event.step + 1):
            return
        gradients = event.how == "autograd.grad"
        self.cases.open(
            cause,
            event.step + 1,
            event.site,
            f"`{event.how}` cut off what the loss adds further on: that term weighs nothing in the "
            "gradients",
            label="gives gradients without a graph" if gradients else "has no derivative",
            because=because(
                "added to the loss here", event.joined if event.joined != event.site else None
            ),
            evidence=(
                *((seen("what is added", event.value),) if event.value is not None else ()),
                *((seen("the loss", event.loss),) if event.loss is not None else ()),
                seen("leaves that the term reaches", 0, "at least 1"),
            ),
            help="give `autograd.grad` `create_graph=True`"
            if gradients
            else "compute the term from probabilities (a soft version), or leave it out",
            event=event.index,
        )
