"""SL510: a loss given labels that it does not know."""

from steplens.model.event import Backward, Unmatched
from steplens.model.graph import GraphReading, Labels, Unreachable
from steplens.model.roster import Roster
from steplens.rules import several_labels, turned_sides
from steplens.rules.base import Cases, because, number, rule, seen
from steplens.rules.chains import Lines, stem

REACH = {
    "Relu": "nothing below 0",
    "Sigmoid": "0 to 1",
    "Softmax": "0 to 1",
    "Tanh": "-1 to 1",
}
MARGIN = "SoftMarginLoss"


@rule("SL510", "labels-out-of-range", "error", needs=("backward",))
class LabelsOutOfRange:
    """A loss given labels that it does not know.

    ## What it does
    Reads the labels of `binary_cross_entropy_with_logits` (also as `BCEWithLogitsLoss`), and
    reports any of -1 and below or of 2 and above: labels of -1 and 1, masks of 0 and 255, the
    numbers of classes, images normalised to a mean of 0. Of `soft_margin_loss`, which takes -1 and
    1, reports labels of 0 and 1; of `cosine_embedding_loss`, `margin_ranking_loss` and
    `hinge_embedding_loss` also, once two batches held both and none anything else. Of
    `binary_cross_entropy` behind a softmax, and of a `cross_entropy` of a layer's output, reports
    samples with several labels of 1; of binary cross-entropies, labels given first and a prediction
    given second. Of
    `mse_loss`, `smooth_l1_loss` and `huber_loss`, reports targets that the relu, sigmoid, softmax
    or tanh which made the prediction cannot give, where a quarter of the target's variance lies out
    of its reach.

    ## Why is this bad?
    Binary cross-entropy is bounded for labels from 0 to 1 only: with a label of 255 or -1 the loss
    falls below 0 and goes on falling as the logit grows, whatever the input is. This form does not
    check its labels; `binary_cross_entropy` does. To the soft margin a label of 0 gives the same
    loss for every output, as it does to the losses of pairs: those samples teach nothing.
    A target beyond the range of the last activation is never met: its samples end at a loss above
    0, and behind a relu or at the end of a sigmoid with no gradient.

    ## Example
        mask = torch.from_numpy(image)  # 0 and 255
        loss = F.binary_cross_entropy_with_logits(model(x), mask.float())

    ## Use instead
        loss = F.binary_cross_entropy_with_logits(model(x), (mask > 0).float())

    ## When it is fine
    Smoothed and noisy labels are not reported, nor a loss that is given weights, or that is not
    reduced at once: a mask may leave out labels that stand for none. Labels are read at the first
    steps and on the cadence.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.lines = Lines()

    def backward(self, event: Backward) -> None:
        if event.graph is not None:
            for given in event.graph.labels:
                self._judge(event, event.graph, given)
            for far in event.graph.unreachable:
                self._unreachable(event, event.graph, far)
            for place in event.graph.turned:
                op = event.graph.ops[place]
                turned_sides.tell(self.cases, event, self.lines.of(op, event.site), op)

    def unmatched(self, event: Unmatched) -> None:
        if self.cases.again(event.site, event.step + 1):
            return
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            f"`{event.name}` was given labels of 0 and 1: it knows -1 and 1, and "
            + (
                "takes one labelled 0 for both at once"
                if event.name == "hinge_embedding_loss"
                else "its loss of a pair labelled 0 is the same for every output"
            ),
            label="this loss takes other labels",
            evidence=(seen("labels that it does not know", f"{event.count} of {event.of}", 0),),
            help="give it `2 * y - 1`",
            event=event.index,
        )

    def _unreachable(self, event: Backward, reading: GraphReading, far: Unreachable) -> None:
        op, maker = reading.ops[far.op], reading.ops[far.maker]
        at = self.lines.of(op, event.site)
        if self.cases.again(at, event.step + 1):
            return
        if stem(op) in ("BinaryCrossEntropy", "Div"):
            several_labels.tell(self.cases, event, at, reading, far)
            return
        name = stem(maker)
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"a loss compares the output of a {name.lower()} with targets from {number(far.low)} "
            f"to {number(far.high)}, and {far.count} of {far.of} of them are out of its reach",
            label="the prediction cannot come to these targets",
            because=because(
                f"a {name.lower()} gives {REACH[name]}", maker.site if maker.site != at else None
            ),
            evidence=(
                seen("targets out of reach", f"{far.count} of {far.of}", 0),
                seen("their part of the target's variance", far.share),
            ),
            help=f"leave out the {name.lower()} at the end, or bring the targets into its range",
            severity="warning",
            event=event.index,
        )

    def _judge(self, event: Backward, reading: GraphReading, given: Labels) -> None:
        op = reading.ops[given.op]
        at = self.lines.of(op, event.site)
        if self.cases.again(at, event.step + 1):
            return
        margin = stem(op) == MARGIN
        known = "-1 and 1" if margin else "0 to 1"
        loss = "the soft margin loss" if margin else "binary cross-entropy"
        if margin:
            help = (
                "give it `2 * y - 1`, or `binary_cross_entropy_with_logits` the labels as they are"
            )
        elif given.low >= -1 and given.high <= 1:
            help = "give it `(y + 1) / 2`, or `soft_margin_loss` the labels as they are"
        elif given.low == 0:
            help = "give it `(y > 0).float()`, or `cross_entropy` where they are numbers of classes"
        else:
            help = "bring the labels between 0 and 1, or take a loss for any numbers (`mse_loss`)"
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"{loss} was given labels from {number(given.low)} to {number(given.high)}: it knows "
            f"{known}",
            label="this loss takes other labels",
            evidence=(
                seen(
                    "least and largest label", f"{number(given.low)}, {number(given.high)}", known
                ),
                seen("labels that it does not know", f"{given.strange} of {given.count}", 0),
            ),
            help=help,
            event=event.index,
        )
