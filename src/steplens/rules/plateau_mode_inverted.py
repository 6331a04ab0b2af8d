"""SL319: a `ReduceLROnPlateau` that waits for its metric to get worse."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen

LOSS = (
    "`ReduceLROnPlateau` waits for `{name}` to rise, which is the loss: it cut the rate at the "
    "lowest one so far"
)
HITS = (
    "`ReduceLROnPlateau` waits for `{name}` to fall, which counts right answers: it cut the rate "
    "at the highest one so far"
)
FACTS = {  # what is said, what helps, and which way counts as better
    "plateau-loss": (LOSS, "leave `mode` at `min`", "rises"),
    "plateau-hits": (HITS, 'give it `mode="max"`', "falls"),
}


@rule("SL319", "plateau-mode-inverted", "warning", needs=("schedule",))
class PlateauModeInverted:
    """A `ReduceLROnPlateau` that waits for its metric to get worse.

    ## What it does
    Reports a `ReduceLROnPlateau` that cut the rate at a step whose metric was the best of all so
    far: the lowest, with `mode="max"`, of a metric that the source computes from the loss; or the
    highest, with `mode="min"` (as it is by default), of one that counts equal answers.

    ## Why is this bad?
    The better training goes, the longer is the plateau that the scheduler sees: it cuts the rate
    again and again while the model learns, until nothing moves any more.

    ## Example
        scheduler = ReduceLROnPlateau(optimizer)
        scheduler.step(accuracy)

    ## Use instead
        scheduler = ReduceLROnPlateau(optimizer, mode="max")
        scheduler.step(accuracy)

    ## When it is fine
    Metrics of other kinds, or that come from other files: what they are is not sure. Optimizers
    that maximize. A cut at a metric that was not the best so far.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what not in FACTS or self.cases.again(event.site, event.step + 1):
            return
        fact, help, way = FACTS[event.what]
        self.cases.open(
            event.site,
            max(event.step, 1),
            event.site,
            fact.format(name=event.name),
            label=f"a metric that {way} counts as better",
            because=because("given the metric here", event.other),
            evidence=(seen("the metric at the cut, the best so far", event.value),),
            help=help,
            event=event.index,
        )
