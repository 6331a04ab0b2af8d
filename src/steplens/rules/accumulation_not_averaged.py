"""SL207: mean-reduced losses added up over several backward passes, none scaled by their number,
each by it twice, or each a mean of its own; or a step taken where it was to wait."""

from steplens.model.event import Backward, Batch, End, Step, Vain
from steplens.model.graph import GraphReading
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.carried import Carried
from steplens.rules.divided import Divided
from steplens.rules.inverted_steps import InvertedSteps, unused

KEPT = 256  # backward passes remembered
LEAST = 3  # passes: half of a loss is often meant
MEAN = 1  # torch's number for reduction="mean"


@rule(
    "SL207",
    "accumulation-not-averaged",
    "note",
    needs=("backward", "step"),
    claims=("backward-adds-to-grad",),
)
class AccumulationNotAveraged:
    """Gradients accumulated over several batches whose mean losses were not divided by their count.

    ## What it does
    Notes steps that use the contributions of k backward passes of one line, each of a loss averaged
    over its own batch (`mean()`, or a loss function with `reduction="mean"`) and backwarded as it
    is, in two steps running; or divided by k (three or more) and by k once more, or the gradients
    by k in place, before two steps that are looked at; or each divided by k, while an ignored index
    leaves one of them twice as many labels as another, in two steps: a mean of means, in which a
    label of a short batch counts for more; or of k, each divided by k, beside fewer that were left
    over from the pass of the data before, at two passes. A warning is told of a step under
    `if i % k:`, which runs for all batches but each k-th, where the same function divides by `k`
    and several steps used fewer contributions than the number by which their losses were divided.

    ## Why is this bad?
    The sum of k means is k times the gradient of the whole batch: the learning rate is in effect k
    times as high, and a clipping bound is met k times as soon. Adam hides the first, not the
    second.

    ## Example
        for x, y in micro_batches:
            criterion(model(x), y).backward()
        optimizer.step()

    ## Use instead
        for x, y in micro_batches:
            (criterion(model(x), y) / len(micro_batches)).backward()
        optimizer.step()

    ## When it is fine
    Losses that are summed, weighted, scaled by anything, or of different lines; gradients divided
    by hand before the step; a learning rate chosen for the sum, or a mean that is meant for each
    sequence, which cannot be seen: hence a note. A last batch may be a short one. What is left of a
    pass may be stepped with, cleared, or counted on. The graph is read in the detail window and on
    the cadence only.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.means = Newest[int, Site | None](KEPT)  # backward passes of mean losses as they are
        self.divided = Divided(cases)
        self.inverted = InvertedSteps(cases)
        self.carried = Carried(cases)
        self.before: dict[int, Step] = {}  # by optimizer, the newest step that used several

    def vain(self, event: Vain) -> None:
        self.inverted.vain(event)

    def batch(self, event: Batch) -> None:
        self.carried.batch(event)

    def end(self, event: End) -> None:
        self.carried.end()

    def backward(self, event: Backward) -> None:
        self.carried.backward(event, event.graph.divided[0] if event.graph else None)
        if event.graph is None or event.weighted:
            return
        divisors, below = event.graph.divided
        self.inverted.divided(event, divisors)
        self.divided.backward(event, event.graph, averaged(event.graph, below))
        root = event.graph.ops[0] if event.scaled and event.graph.ops else None
        place = root.inputs[0] if root is not None and root.inputs else 0  # below the scale
        if divisors and {*divisors} == {1.0}:
            place = below  # one process, one micro-batch: nothing is scaled
        if averaged(event.graph, place):
            self.means[event.index] = event.site

    def step(self, event: Step) -> None:
        self.divided.step(event)
        self.inverted.step(event)
        self.carried.step(event)
        if not self.means or event.skipped or event.closure or event.rewritten:
            return
        found = self._several(event)
        before = self.before.pop(event.optimizer, None)
        if found is None:
            return
        self.before[event.optimizer] = event
        site, count = found
        cause = site or event.optimizer
        if self.cases.again(cause, event.step + 1) or before is None:
            return
        self.cases.open(
            cause,
            before.step + 1,
            site,
            f"{count} averaged losses were added up for one step, none divided by {count}",
            label=f"ran {count} times for each step",
            because=because("used them here", event.site),
            evidence=(
                seen("contributions of this line to one step", count),
                seen("losses averaged over their own batch", count, f"scaled by 1/{count}"),
            ),
            help=f"backward `loss / {count}`",
            event=event.index,
        )
        self.cases.amend(cause, last_step=event.step + 1, count=2)

    def _several(self, event: Step) -> tuple[Site | None, int] | None:
        """The line and number of the averaged losses whose contributions this step used, when these
        were all it used and more than one."""
        for new in unused(event):
            if len(new) < 2 or any(backward not in self.means for backward in new):
                return None
            sites = {self.means[backward] for backward in new}
            return (sites.pop(), len(new)) if len(sites) == 1 else None
        return None


def averaged(graph: GraphReading, place: int) -> bool:
    """Whether the value made at this place is a mean over its elements, or a sum with such a term:
    a loss that is scaled as a whole has none."""
    if not 0 <= place < len(graph.ops):
        return False
    op = graph.ops[place]
    if op.name == "AddBackward0":
        return any(averaged(graph, position) for position in op.inputs)
    return op.name == "MeanBackward0" or op.saved.get("reduction") == MEAN
