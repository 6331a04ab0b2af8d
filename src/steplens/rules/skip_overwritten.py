"""SL518: a sum that reads a variable after an activation has written over it in place."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL518", "skip-overwritten", "warning", needs=("backward",))
class SkipOverwritten:
    """A skip connection whose values an in-place activation has written over.

    ## What it does
    Reports a sum one part of which is a variable that an activation was given further up in the
    same function, under another name for its result, when the graph shows that the sum got what the
    activation made: it wrote in place. Only where the variable can hold values below 0: a linear
    layer, a convolution or a norm made it, or a sum of such.

    ## Why is this bad?
    `nn.ReLU(inplace=True)` writes over its input. In `out = self.relu(x)` and `out + x` the skip
    carries `relu(x)`: what was below 0 is lost to all blocks that follow, and nothing says so.

    ## Example
        out = self.conv(self.relu(x))  # relu = nn.ReLU(inplace=True)
        out = out + x

    ## Use instead
        out = self.conv(self.relu(x))  # relu = nn.ReLU()
        out = out + x

    ## When it is fine
    `x = self.relu(x)`, which says that `x` is the activation from there on; a line that is but
    `self.relu(x)`; an activation of what another layer made of `x`; values that an activation has
    made before, which the second leaves as they are. The source and the first graphs are read.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what != "rectified" or self.cases.again(event.site, event.step + 1):
            return
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            f"the activation wrote over `{event.name}`, and the sum further down adds what it made "
            f"in place of `{event.name}`",
            label="writes over what it is given",
            because=because(
                f"reads `{event.name}` here", event.other if event.other != event.site else None
            ),
            evidence=(seen(f"the sum's `{event.name}`", "the activation's output", "its input"),),
            help="make the activation without `inplace=True`",
            event=event.index,
        )
