"""SL501: softmax output fed to cross-entropy."""

from steplens.model.event import Backward
from steplens.model.graph import GraphReading
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.chains import Lines, fed, output, stem
from steplens.rules.entropies import entropies, normalised_again

SQUASHED = {
    "Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid", "Relu": "relu",
}  # fmt: skip
FED = ("applies softmax itself", "takes logits of either sign")
HELP = {
    "Softmax": "return the last layer's output without softmax: cross-entropy applies it; take "
    "the softmax where probabilities are read",
    "LogSoftmax": "leave out the log-softmax, or use `nll_loss` on it: once is enough",
    "Sigmoid": "leave out the sigmoid, or use `binary_cross_entropy` if the classes are "
    "independent of each other",
    "Relu": "leave out the last relu: the logits of wrong classes may be negative",
}
AGAIN = "pass probabilities as such (`Categorical(probs=...)`), or leave out the softmax"


@rule("SL501", "softmax-before-cross-entropy", "error", needs=("backward",))
class SoftmaxBeforeCrossEntropy:
    """Softmax output fed to a loss that applies softmax itself.

    ## What it does
    Follows the autograd graph from a cross-entropy (its log-softmax, with class numbers or with
    probabilities as target; one by hand, too: `logp.gather(1, y)`) through operations that only
    move values, and reports a softmax that made them; so, too, a softmax output less its own
    `logsumexp`, as `Categorical(logits=...)` takes it. A log-softmax there changes nothing but
    time, a sigmoid only narrows the logits, and a relu only keeps them from being negative: these
    are notes.

    ## Why is this bad?
    Probabilities lie between 0 and 1, so their softmax can never be sure: with 5 classes the loss
    cannot fall under 0.905, and gradients are small. Nothing fails and accuracy still rises.

    ## Example
        model = nn.Sequential(nn.Linear(8, 5), nn.Softmax(dim=1))
        loss = nn.CrossEntropyLoss()(model(x), y)

    ## Use instead
        model = nn.Sequential(nn.Linear(8, 5))
        loss = nn.CrossEntropyLoss()(model(x), y)

    ## When it is fine
    A softmax inside the model (attention, gates, mixtures) is not reported, as other operations lie
    between it and the loss; nor are scaled logits. The graph is read at the first steps and on
    the cadence.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.lines = Lines()
        self.made: dict[Site | None, Site | None] = {}  # line of a loss -> that of its softmax

    def backward(self, event: Backward) -> None:
        reading = event.graph
        if reading is None:
            return
        for loss, normaliser in entropies(reading):
            squash = fed(reading, normaliser, SQUASHED)
            if squash >= 0:
                self._found(event, reading, loss, squash)
        for place, squash in normalised_again(reading):
            self._found(event, reading, place, squash, "normalised once more, as logits")

    def _found(
        self, event: Backward, reading: GraphReading, loss: int, squash: int, what: str = ""
    ) -> None:
        op, name = reading.ops[squash], stem(reading.ops[squash])
        at = self.lines.of(reading.ops[loss], event.site)
        cause = (self.made.setdefault(at, op.site or at), name)
        if self.cases.again(cause, event.step + 1):
            if op.site is not None:
                self._also(cause, at)
            return
        self.cases.open(
            cause,
            event.step + 1,
            at,
            f"the output of a {SQUASHED[name]} was "
            + (what or f"fed to cross-entropy, which {FED[name == 'Relu']}"),
            label="logits are expected here" if what else "this loss takes logits",
            because=because(f"{SQUASHED[name]} applied here", op.site if op.site != at else None),
            evidence=(
                seen("what it was given" if what else "what cross-entropy was given",
                     output(SQUASHED[name], op), "logits"),
            ),
            help=AGAIN if what else HELP[name],
            severity=None if name == "Softmax" else "note",
            event=event.index,
        )  # fmt: skip

    def _also(self, cause: object, at: Site | None) -> None:
        """Another loss of the same softmax."""
        known = self.cases.findings[cause]
        places = {known.at, *[why.at for why in known.because]}
        if at is not None and at not in places and len(places) < 6:
            more = because("and fed to this loss, too", at)
            self.cases.amend(cause, because=(*known.because, *more))
