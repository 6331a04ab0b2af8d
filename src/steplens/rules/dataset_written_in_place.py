"""SL509: reading a dataset writes to its own data."""

from steplens.model.event import Rewritten
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL509", "dataset-written-in-place", "error", needs=("batch",))
class DatasetWrittenInPlace:
    """The data behind a dataset changes while it is being read.

    ## What it does
    Follows the write counters of the tensors that a dataset holds (for numpy arrays up to 8 MB,
    the bits) through each fetch of the first three passes. Reports data of the kind that batches
    hand out when reading wrote to it in the first pass and again in a later one.

    ## Why is this bad?
    An augmentation or a normalisation in place works on a view of the dataset. Each epoch starts
    from what the last one left: noise adds up, and the mean is taken off twice.

    ## Example
        def __getitem__(self, i):
            x = self.data[i]
            x += 0.1 * torch.randn_like(x)
            return x

    ## Use instead
        def __getitem__(self, i):
            return self.data[i] + 0.1 * torch.randn_like(self.data[i])

    ## When it is fine
    Caches are written once for each element, in the first pass. Counters and other data that no
    batch hands out, rows of whole numbers that are drawn anew each time, data that the program
    itself replaces between passes, and datasets read by worker processes (each has a copy) are not
    reported, nor samplers that draw with replacement.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def rewritten(self, event: Rewritten) -> None:
        at = event.where or event.site
        if self.cases.again((event.loader, event.what), event.step + 1):
            return
        self.cases.open(
            (event.loader, event.what),
            event.step + 1,
            at,
            f"reading the dataset wrote to its own `{event.what}`, again in pass {event.passes}",
            label="writes to the dataset" if event.where else "read here",
            because=because("read here", event.site if event.where else None),
            evidence=(seen("passes in which reading wrote to it", event.passes, "at most 1"),),
            help="work on a copy: `x = self.data[i].clone()`",
            event=event.index,
        )
