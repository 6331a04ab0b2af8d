"""SL511: samples that are never drawn, or batches that are never read."""

from steplens.model.event import Undrawn, Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL511", "samples-never-drawn", "warning", needs=("batch",))
class SamplesNeverDrawn:
    """Samples that are never drawn, or batches that are never read.

    ## What it does
    Reports a `WeightedRandomSampler` with fewer weights than the dataset of its `DataLoader` has
    samples, at the first pass. Reports a `return` at the end of the body of a loop over a
    `DataLoader` of several batches, of what the loop adds to from 0 or an empty list on, when the
    passes have ended after one batch each.

    ## Why is this bad?
    The sampler draws positions of its list of weights, and takes them for indices of samples. Given
    one weight for each class, it draws the first few samples of the dataset again and again, and
    none of the others: the model learns those by heart, and the loss looks very good. A `return`
    that is indented too far ends the epoch, or the evaluation, with its first batch.

    ## Example
        weights = 1.0 / torch.bincount(labels)
        sampler = WeightedRandomSampler(weights, len(dataset))

    ## Use instead
        weights = 1.0 / torch.bincount(labels)
        sampler = WeightedRandomSampler(weights[labels], len(dataset))

    ## When it is fine
    Weights of 0, which leave samples out on purpose, and datasets of no known length are not
    reported, nor samplers whose `__iter__` is the program's own. Nor are loops that break or return
    under a condition, or return something else than such a sum: one batch was asked for.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what != "early" or self.cases.again(event.site, event.step + 1):
            return
        batches = int(event.value or 0)
        self.cases.open(
            event.site,
            max(event.step, 1),
            event.site,
            f"the loop returns in its first round: of {batches} batches one is read in each pass, "
            f"and `{event.name}` sums no more",
            label="inside of the loop",
            evidence=(seen("batches read in a pass", 1, batches),),
            help="indent the `return` as the `for`",
            event=event.index,
        )

    def undrawn(self, event: Undrawn) -> None:
        at = event.made or event.site
        if self.cases.again(at, event.step + 1):
            return
        lost = event.samples - event.weights
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"{lost} of {event.samples} samples can never be drawn: `WeightedRandomSampler` has "
            f"{event.weights} weights",
            label="it takes a weight for each sample",
            because=because("read here", event.site if event.site != at else None),
            evidence=(
                seen("weights", event.weights, f"{event.samples}, one for each sample"),
                seen("samples that can be drawn", f"the first {event.weights}"),
            ),
            help="give it the weight of each sample's class: `class_weights[labels]`",
            event=event.index,
        )
