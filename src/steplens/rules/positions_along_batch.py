"""SL513: positions that were counted along the batch instead of along time."""

from steplens.model.event import Positioned
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL513", "positions-along-batch", "error", needs=("forward",))
class PositionsAlongBatch:
    """Positions that were counted along the batch instead of along time.

    ## What it does
    Reports a layer of the program's own that gives out its input with row i of one of its tables
    added to sample i of the batch, the same row at all time steps, when an attention made with
    `batch_first=True` is then given a tensor of that shape: dimension 0 is the samples'.

    ## Why is this bad?
    No step of a sequence gets a position of its own, so that the model cannot tell their order, and
    each sample gets a constant that depends on its place in the batch. Shapes fit, as the table is
    broadcast along time: it was written for inputs with time first.

    ## Example
        x = x + self.pe[: x.size(0)]  # pe: [longest, 1, features], x: [batch, time, features]

    ## Use instead
        x = x + self.pe[: x.size(1)].transpose(0, 1)

    ## When it is fine
    Input with time first, as an attention without `batch_first` takes it, is not reported. Where a
    batch has as many samples as steps, or what was added is no table of the layer's, nothing is
    said.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases

    def positioned(self, event: Positioned) -> None:
        at = event.where or event.site
        if self.cases.again(at, event.step + 1):
            return
        table = f"{self.roster.module_name(event.module)}.{event.name}"
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"row i of `{table}` was added to sample i of the batch, at all {event.steps} steps: "
            "positions were counted along the batch",
            label="dimension 0 of this input is the batch",
            because=because(
                "an attention with `batch_first=True` is given it here",
                event.site if event.where else None,
            ),
            evidence=(
                seen("rows that differ along the batch", event.batch, 1),
                seen("rows that differ along time", 1, event.steps),
            ),
            help="take as many rows as there are steps, along dimension 1: "
            f"`{event.name}[: x.size(1)].transpose(0, 1)`",
            event=event.index,
        )
