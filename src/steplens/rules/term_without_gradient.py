"""SL214: a term of the loss that was cut off from what it was computed from, or is always 0."""

from steplens.model.event import Backward, Term, Values
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.nil_terms import HELP, NIL, NilTerms


@rule("SL214", "term-without-gradient", "warning", needs=("backward",))
class TermWithoutGradient:
    """A term of the loss that was cut off from what it was computed from.

    ## What it does
    Reports a loss to which a number without a graph is added that was computed from what is being
    trained, when an operation without a derivative (a comparison, `argmax`, a cast to integers) or
    `autograd.grad` without `create_graph=True` cut it off. It follows the values through one step.
    Reports a term such as `mse_loss(a, b)` whose two sides are the same to the last bit at every
    look, while steps move the model: a copy that is the model itself, two views that are one.

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
    of a structured hinge), and sums that are shown and not backwarded are not reported; nor what
    adds 0 whenever it is looked at. Of two
    sides that are one, four looks must have gone by, with steps between that were seen to move
    the model; a constant does not count, and one look at which they differ takes the finding back.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.nil = NilTerms(cases)

    def backward(self, event: Backward) -> None:
        if event.graph is not None:
            self.nil.backward(event, event.graph)

    def values(self, event: Values) -> None:
        self.nil.values(event)

    def term(self, event: Term) -> None:
        cause = event.site or event.how
        if self.cases.again(cause, event.step + 1):
            return
        nil = event.how.startswith(NIL)
        message, label, help = _words(event.how)
        self.cases.open(
            cause,
            event.step + 1,
            event.site,
            message,
            label=label,
            because=because(
                "added to the loss here", event.joined if event.joined != event.site else None
            ),
            evidence=(
                *((seen("what is added", event.value),) if event.value is not None else ()),
                *((seen("the loss", event.loss),) if event.loss is not None else ()),
                *(() if nil else (seen("leaves that the term reaches", 0, "at least 1"),)),
            ),
            help=help,
            event=event.index,
        )


def _words(how: str) -> tuple[str, str, str]:
    """What is said of a term that was made so, its label, and the help."""
    if how.startswith(NIL):
        message = (
            f"the two sides of this `{how.removeprefix(NIL)}` are the same to the last bit, and "
            "neither requires gradients: it adds 0 to the loss and nothing to the gradients"
        )
        return message, "compares something with itself", HELP
    message = (
        f"`{how}` cut off what the loss adds further on: that term weighs nothing in the gradients"
    )
    if how == "autograd.grad":
        help = "give `autograd.grad` `create_graph=True`"
        return message, "gives gradients without a graph", help
    help = "compute the term from probabilities (a soft version), or leave it out"
    return message, "has no derivative", help
