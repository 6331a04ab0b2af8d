"""SL519: rows added to places by an index that names a place more than once."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen


@rule("SL519", "repeated-indices", "warning", needs=("backward",))
class RepeatedIndices:
    """Rows added by `x[i] += v`, where `i` names a place more than once.

    ## What it does
    Reports a line that adds to `x[i]` and writes the sum back, when the loss's graph shows that `i`
    held whole numbers some of which came more than once, and that `v` had a computed row for each.

    ## Why is this bad?
    `x[i] += v` is a read, a sum and a write. Of all the rows for one place, one stays; torch calls
    which one undefined. A sum over the neighbours of a graph's node becomes one neighbour. The
    backward gives each row a gradient all the same, also those that were lost.

    ## Example
        messages[target] += hidden[source]

    ## Use instead
        messages = messages.index_add(0, target, hidden[source])

    ## When it is fine
    Indices that are all different; masks; one value added to all; rows looked up by the same index,
    which gives a place the same row twice; `index_add`, `scatter_add` and
    `index_put_(..., accumulate=True)`. The source and the first graphs are read.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what != "scattered" or self.cases.again(event.site, event.step + 1):
            return
        lost, places = int(event.value or 0), event.of - int(event.value or 0)
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            f"{event.of:,} rows are added to `{event.name}`, which is {places:,} places: of the "
            f"rows for one place one stays, {lost:,} are lost",
            label="writes each place once",
            evidence=(seen("rows", f"{event.of:,}", f"{places:,}, as many as places"),),
            help="add them with `index_add` (or `scatter_add`), which sums the rows of one place",
            event=event.index,
        )
