"""SL503: NLL loss on values that are not log-probabilities."""

from steplens.model.event import Backward
from steplens.model.graph import GraphReading, LogProbs
from steplens.model.roster import Roster
from steplens.rules import log_targets
from steplens.rules.base import Cases, because, number, rule, seen
from steplens.rules.chains import (
    SHAPING,
    Lines,
    fed,
    given_by,
    shown,
    stem,
)
from steplens.rules.logarithms import logarithm
from steplens.rules.picked import measured

CTC = "take `log_softmax(-1)` of the logits before `ctc_loss`, which applies none itself"
HELP = "use `cross_entropy` on the logits, or `log_softmax` over the classes before `nll_loss`"
CLOSE = 0.1  # how far the sum of a row's exponentials may be from 1


@rule("SL503", "nll-without-log-softmax", "error", needs=("backward",))
class NllWithoutLogSoftmax:
    """NLL loss on values that are not log-probabilities.

    ## What it does
    Looks at what `nll_loss` or `ctc_loss` was given, where no log-softmax over the classes made it:
    reports values above 0, or rows whose exponentials do not sum to 1, when nothing between the
    model's last layer and the loss takes a logarithm, or when it is a log-softmax over another
    dimension.
    Reports a `kl_div` that was given the output of a softmax, or of a layer as it is, where its
    target is a distribution; or a distribution without a gradient
    for a target that has one, or log-probabilities as its target without `log_target=True`, or a
    distribution with it.

    ## Why is this bad?
    NLL only picks out the value of the true class and turns its sign. Without the log-softmax
    nothing pushes the other classes down: the loss falls without end while the model learns to
    answer with large numbers.

    ## Example
        loss = F.nll_loss(model(x), y)

    ## Use instead
        loss = F.cross_entropy(model(x), y)

    ## When it is fine
    Weighted, masked, indexed or shifted log-probabilities (focal loss, policy gradients), logs of
    mixtures, and scores normalised by a `logsumexp` elsewhere in the loss are not reported, nor
    what an operation of the user's own or a compiled region made. Nor is an `nll_loss` that only
    picks values, which a regression or a ranking then compares with others (`mse_loss(-nll_loss(q,
    action, reduction="none"), target)`). The values are read at the first steps and on the cadence.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.lines = Lines()

    def backward(self, event: Backward) -> None:
        if event.graph is None:
            return
        for given in event.graph.log_probs:
            if given.target:
                at = self.lines.of(event.graph.ops[given.op], event.site)
                log_targets.tell(self.cases, event, at, given, proper(given), sums(given))
            elif not proper(given):
                self._judge(event, event.graph, given)

    def _judge(self, event: Backward, reading: GraphReading, given: LogProbs) -> None:
        ctc = stem(reading.ops[given.op]) == "CtcLoss"
        loss, help = ("CTC loss", CTC) if ctc else ("NLL loss", HELP)
        source = fed(reading, given.op, ("LogSoftmax",), SHAPING)
        if given.source >= 0:
            loss, help = "`kl_div`", "give `kl_div` the `log_softmax` of the logits"
            source, raw = given.source, not given.rows
            why = "nothing normalised them" if raw else "these are probabilities"
        elif source >= 0:
            if reading.ops[source].saved.get("dim") == 0 and len(reading.ops[source].shape) > 1:
                return  # SL505 tells of a softmax over the batch
            why = f"log-softmax was taken over dimension {reading.ops[source].saved.get('dim')}"
        elif logarithm(reading, given.op) or measured(reading, given.op):
            return
        else:
            source = fed(reading, given.op, ("Softmax", "Sigmoid"))
            why = "these are probabilities" if source >= 0 else "nothing normalised them"
        at = self.lines.of(reading.ops[given.op], event.site)
        if self.cases.again(at, event.step + 1):
            return
        maker = source if source >= 0 else given_by(reading, given.op)
        made_here = reading.ops[maker].site if maker >= 0 else None
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"{loss} was given values that are not log-probabilities: {why}",
            label="this loss takes log-probabilities",
            because=because("made here", made_here if made_here != at else None),
            evidence=(
                seen(
                    "what made them",
                    f"{stem(reading.ops[source])}, of {shown(reading.ops[source].shape)}",
                    "a log-softmax",
                ),
            )
            if given.source >= 0 and not given.rows
            else (
                seen("values above 0", given.positive, 0),
                seen("sum of a row's exponentials", sums(given), "1"),
                seen("rows looked at", given.rows),
            ),
            help=help,
            event=event.index,
        )


def proper(given: LogProbs) -> bool:
    """Whether the values can be log-probabilities."""
    if given.low is None or given.high is None:
        return False
    return 1 - CLOSE <= given.low <= given.high <= 1 + CLOSE


def sums(given: LogProbs) -> str:
    """The range of the sums, in words."""
    return f"{number(given.low)} to {'infinity' if given.high is None else number(given.high)}"
