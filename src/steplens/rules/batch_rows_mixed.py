"""SL508: one sample's output depends on another sample of the batch."""

from steplens.model.event import Backward, Mixed
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen
from steplens.rules.cut_up import CutUp
from steplens.rules.swapped import Swapped

WHY = {
    "view": "a view or reshape cut the batch up without moving the dimensions",
    "sequence": "a recurrent or attention layer took the batch for its sequence",
    "softmax": "a softmax was taken over the samples",
    "product": "a product ran over the samples",
    "reduction": "a reduction ran over the samples",
    "other": "an operation joined samples",
}
HELP = {
    "view": "use `permute` or `transpose` to swap dimensions, then reshape",
    "sequence": "give the layer `batch_first=True`, or permute its input to (sequence, batch, "
    "features)",
    "softmax": "take the softmax over another dimension than the samples'",
}
SEVERITY = {"view": "error", "sequence": "error", "softmax": "warning", "product": "warning"}


@rule("SL508", "batch-rows-mixed", "error", needs=("forward",))
class BatchRowsMixed:
    """One sample's output depends on another sample of its batch.

    ## What it does
    Takes one extra look at the first training forward of a small module (under 20 MB) that was
    given a batch which a DataLoader stacked, or whose rows were drawn from a larger tensor out of
    their order there: a copy in eval mode is called with the batch, and with the batch in which one
    sample was replaced. Reports when outputs of other samples change, with
    the operation at which they mix. Reads in the graph of each loss, too, whether a view made the
    maps of a convolution into rows of which each holds one class at several places, and a
    cross-entropy took them for the classes of one place; or exchanged the sizes of what a layer
    gave with its features last, and a convolution or a cross-entropy took dimension 1 for them.

    ## Why is this bad?
    The model learns from blends of samples whose targets differ, and what it says of a sample
    depends on its neighbours in the batch. Shapes are right and nothing fails.

    ## Example
        x = x.view(time, batch, features)          # x is [batch, time, features]

    ## Use instead
        x = x.permute(1, 0, 2)

    ## When it is fine
    Batch norm uses its running statistics in eval mode and mixes nothing there. Statistics over the
    batch that a module takes on purpose (a standard deviation over the minibatch), layers to which
    the batch was given as one set, and products by hand of plain rows with weights between them (an
    attention across samples) are notes; so is an unshuffled batch that a layer takes for a series.
    Models that return a matrix of pairs are not reported. Where dimension 0 is not known to be the
    samples' (no DataLoader, a `collate_fn` of one's own), a layer or softmax that takes it for its
    sequence is a note, when the module gives one row for each of it, of two dimensions at most
    unless its layers disagree on `batch_first`. Where the module has hooks, prints, logs or counts,
    or cannot be copied, nothing is said.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.cut_up, self.swapped = CutUp(cases), Swapped(cases)

    def backward(self, event: Backward) -> None:
        if event.graph is not None:
            self.cut_up.backward(event, event.graph)
            self.swapped.backward(event, event.graph)

    def mixed(self, event: Mixed) -> None:
        at = event.where or event.site
        if self.cases.again(at, event.step + 1):
            return
        severity = SEVERITY.get(event.form, "note")
        if event.form == "sequence" and event.dims == 2 and not event.shuffled:
            severity = "note"
        if event.shuffled is None and event.form != "view":
            severity = "note"
        name = self.roster.module_name(event.module)
        one = "sample" if event.shuffled is not None or event.form == "view" else "row of the input"
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"changing one {one} changed the outputs of {event.rows} others: "
            f"{WHY.get(event.form, WHY['other'])}",
            label="samples mix here" if event.where else f"forward of `{name}`",
            evidence=(
                seen("outputs that changed with another sample",
                     f"{event.rows} of {event.batch - 1}", "0"),
                seen("operation", f"`{event.op}`" if event.op else "not known"),
            ),
            help=HELP.get(event.form, "keep samples apart along the batch dimension"),
            severity=severity,
            event=event.index,
        )  # fmt: skip
