"""SL517: a loss that counts the padding of its sequences."""

from steplens.model.event import Backward
from steplens.model.graph import GraphReading, PaddedLabels
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen
from steplens.rules.chains import Lines


@rule("SL517", "padding-in-the-loss", "note", needs=("backward",))
class PaddingInTheLoss:
    """A loss that counts the padding of its sequences.

    ## What it does
    Notes a cross-entropy over the tokens of an embedding that was made with a `padding_idx`, whose
    labels end in runs of that token, of different lengths, a tenth of all labels or more, and are
    counted like any other: the loss is summed or averaged at once, with another `ignore_index`.

    ## Why is this bad?
    The padding is the easiest token to tell, and often the most frequent: the loss falls while the
    model learns to give out padding, its mean says little of the tokens that matter, and changes
    with the lengths that happen to share a batch.

    ## Example
        table = nn.Embedding(vocabulary, 64, padding_idx=0)
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    ## Use instead
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), ignore_index=0)

    ## When it is fine
    A model may be meant to tell where a sequence ends by giving out padding: hence a note. A class
    weight of 0 for the padding, a loss for each token that is masked by hand, labels that are no
    tokens of the table, and one single padding token at each end are not reported. The graph is
    read in the detail window and on the cadence only.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.lines = Lines()

    def backward(self, event: Backward) -> None:
        if event.graph is not None:
            for given in event.graph.padded:
                self._found(event, event.graph, given)

    def _found(self, event: Backward, reading: GraphReading, given: PaddedLabels) -> None:
        at = self.lines.of(reading.ops[given.op], event.site)
        if self.cases.again(at, event.step + 1):
            return
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"{given.count} of {given.of} labels are {given.token}, the padding of the tokens that "
            "the model is given",
            label="counts them like any other",
            evidence=(seen("labels that are padding", f"{given.count} of {given.of}", 0),),
            help=f"pass `ignore_index={given.token}`",
            event=event.index,
        )
