"""SL502: sigmoid output fed to the logits form of binary cross-entropy."""

from steplens.model.event import Backward
from steplens.model.graph import GraphReading
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.chains import MIXING, Lines, below, fed, output, stem

SQUASHED = {"Sigmoid": "sigmoid", "Softmax": "softmax", "Relu": "relu"}
BCE = "BinaryCrossEntropyWithLogits"
LOSSES = {BCE: "binary cross-entropy with logits", "LogSigmoid": "log-sigmoid"}
HELP = {
    "Sigmoid": "leave out the sigmoid: the loss applies it; take it where probabilities are read",
    "Softmax": "leave out the softmax: the loss applies the sigmoid; take it where probabilities "
    "are read",
    "Relu": "leave out the relu: a logit must be able to be negative",
}


@rule("SL502", "sigmoid-before-bce-with-logits", "error", needs=("backward",))
class SigmoidBeforeBceWithLogits:
    """Sigmoid output fed to a loss that applies the sigmoid itself.

    ## What it does
    Follows the autograd graph from `binary_cross_entropy_with_logits` (also as `BCEWithLogitsLoss`)
    through operations that only move values, and reports a sigmoid or a softmax that made them. A
    relu there is a warning. Reports a sigmoid before a log-sigmoid as well, which
    `multilabel_soft_margin_loss` takes, and one before another sigmoid, in front of plain
    `binary_cross_entropy` or of any other loss (a Dice loss that takes the sigmoid itself).

    ## Why is this bad?
    A sigmoid lies between 0 and 1, and the sigmoid of that between 0.5 and 0.731: the loss can
    never call a sample negative. After a relu no probability is below 0.5. Nothing fails, and the
    ranking of the outputs still improves.

    ## Example
        p = torch.sigmoid(model(x))
        loss = F.binary_cross_entropy_with_logits(p, y)

    ## Use instead
        loss = F.binary_cross_entropy_with_logits(model(x), y)

    ## When it is fine
    A sigmoid inside the model, a gate or an attention, is not reported: layers or other operations
    lie between it and the loss. Nor is a steep sigmoid of a sigmoid, `sigmoid(50 * (p - t))`. The
    graph is read at the first steps and on the cadence.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.lines = Lines()

    def backward(self, event: Backward) -> None:
        reading = event.graph
        if reading is None:
            return
        taken: set[int] = set()
        for place, op in enumerate(reading.ops):
            if stem(op) == "BinaryCrossEntropy":
                second = fed(reading, place, ("Sigmoid",))
                taken.add(second)
                self._twice(event, reading, second, place)
            loss = LOSSES.get(stem(op))
            if loss is None:
                continue
            squash = fed(reading, place, SQUASHED if loss is LOSSES[BCE] else ("Sigmoid",))
            at = self.lines.of(op, event.site)
            if squash < 0 or self.cases.again(at, event.step + 1):
                continue
            source = reading.ops[squash]
            name = SQUASHED[stem(source)]
            told = "takes logits of either sign" if name == "relu" else "applies the sigmoid itself"
            self.cases.open(
                at,
                event.step + 1,
                at,
                f"the output of a {name} was fed to {loss}, which {told}",
                label="this loss takes logits",
                because=because(f"{name} applied here", source.site if source.site != at else None),
                evidence=(
                    seen("what the loss was given", output(name, source),
                         "logits"),
                ),
                help=HELP[stem(source)],
                severity="warning" if name == "relu" else None,
                event=event.index,
            )  # fmt: skip

        for second in below(reading, 0, lambda name: name in MIXING):
            if stem(reading.ops[second]) == "Sigmoid" and second not in taken:
                self._twice(event, reading, second, second)

    def _twice(self, event: Backward, reading: GraphReading, second: int, place: int) -> None:
        """A sigmoid of what has been through one already, on the way to the loss ``place``, if that
        is known to take probabilities."""
        first = fed(reading, second, ("Sigmoid", "Softmax")) if second >= 0 else -1
        op = reading.ops[place]
        at = self.lines.of(op, event.site)
        if first < 0 or self.cases.again(at, event.step + 1):
            return
        source, outer = reading.ops[first], reading.ops[second]
        name, known = SQUASHED[stem(source)], place != second
        self.cases.open(
            at,
            event.step + 1,
            at,
            f"a sigmoid was taken of the output of a {name}, on the way to "
            f"{'binary cross-entropy' if known else 'the loss'}",
            label="this loss takes probabilities" if known else "a sigmoid takes logits",
            because=(
                *because(f"{name} applied here", source.site if source.site != at else None),
                *because("and a sigmoid of that here", outer.site if outer.site != at else None),
            ),
            evidence=(
                seen("what the second sigmoid was given", output(name, source),
                     "logits"),
            ),
            help="leave out one of the two",
            event=event.index,
        )  # fmt: skip
