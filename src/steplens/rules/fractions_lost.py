"""SL608: a number with a fraction that was written into a tensor of integers."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen


@rule("SL608", "fractions-lost", "warning", needs=("vain",))
class FractionsLost:
    """A number with a fraction, written into a tensor of integers.

    ## What it does
    Reports a line of the program's own that writes a number between -1 and 1, or a small tensor of
    such on the CPU, into a tensor of an integer type, which keeps 0: by assignment to elements,
    `fill_`, `masked_fill`, `index_fill_`, `scatter_` or `full_like`.

    ## Why is this bad?
    The tensor keeps its type and drops what is after the point, without a word: 0.9 becomes 0. A
    table of smoothed labels, of returns or of weights made like the labels (`zeros_like(target)`)
    then holds nothing but 0.

    ## Example
        dist = torch.zeros_like(target).unsqueeze(1).repeat(1, classes)
        dist.fill_(smoothing / classes)

    ## Use instead
        dist = torch.zeros(len(target), classes)
        dist.fill_(smoothing / classes)

    ## When it is fine
    Whole numbers, truth values, and conversions that say what they do (`.long()`, `copy_`,
    `trunc()`) are not reported; nor are larger numbers, whose whole part may be what is wanted
    (places, pixels), nor what a library writes.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what != "fraction" or self.cases.again(event.site, event.step):
            return
        value = event.value or 0.0
        self.cases.open(
            event.site,
            max(event.step, 1),
            event.site,
            f"{value:.4g} was written into a tensor of type {event.name}, which keeps {int(value)}",
            label="what is after the point is lost here",
            evidence=(seen("value kept", int(value), value),),
            help="make the tensor of a floating-point type: `torch.zeros(shape)`, or "
            "`zeros_like(x, dtype=torch.float32)`",
            event=event.index,
        )
