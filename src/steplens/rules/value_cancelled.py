"""SL521: a sum on one line of which a value is a part twice, added and taken away."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen


@rule("SL521", "value-cancelled", "warning", needs=("backward",))
class ValueCancelled:
    """A sum that adds a value and takes it away again: the value gets no gradient from it.

    ## What it does
    Reports a line such as `z + (q - z)` or `hard - soft + soft`, when the loss's graph shows that
    the two are one value, of the sum's own shape, and that both carry a gradient.

    ## Why is this bad?
    The gradients of the two are `g` and `-g`: exactly 0. This is how a straight-through estimator
    looks whose `detach` is missing. Its encoder learns nothing of the loss behind it; other terms,
    a commitment loss, still move it, so that nothing stands still.

    ## Example
        quantised = z + (codes - z)

    ## Use instead
        quantised = z + (codes - z).detach()

    ## When it is fine
    The difference or the value detached; a factor on the difference, `z + rate * (q - z)`; a mean
    that one line takes away and another adds; shapes that differ. The first graphs are read.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what != "cancelled" or self.cases.again(event.site, event.step + 1):
            return
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            "this sum adds a value and takes it away again, both with their gradients, which are "
            "g and -g: the value gets none from here",
            label="adds and takes away the same value",
            evidence=(seen("the value's gradient from this sum", "g - g", "g"),),
            help="detach the difference, as in `z + (q - z).detach()`, if its gradient is to go to "
            "the value",
            event=event.index,
        )
