"""SL320: an average of weights that keeps next to nothing of itself at each update."""

from steplens.model.event import Blended
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL320", "average-forgets", "warning", needs=("step",))
class AverageForgets:
    """An average of weights, or a target network, that is the model of one step ago.

    ## What it does
    Reports when a parameter that no optimizer holds is mixed, after each of six steps in a row,
    with the trained parameter of the same name and shape, and keeps a tenth of itself or less each
    time: what it is after each is measured to be such a mixture of the two.

    ## Why is this bad?
    With the factors swapped, 0.999 of the model goes in at each update, and one thousandth of the
    average is kept: it forgets all but the newest weights. A moving average smooths nothing then,
    and a target network moves as fast as the network that is trained on it.

    ## Example
        for e, p in zip(ema.parameters(), model.parameters()):
            e.mul_(1 - decay).add_(p, alpha=decay)  # decay = 0.999

    ## Use instead
        for e, p in zip(ema.parameters(), model.parameters()):
            e.mul_(decay).add_(p, alpha=1 - decay)

    ## When it is fine
    Copies that are whole (a target network brought up to date at once, every so often or at every
    step); averages whose decay is still rising from a start near 0; weights with noise on them;
    shares above a tenth (Lookahead keeps a fifth or a half).
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases

    def blended(self, event: Blended) -> None:
        average = self.roster.tensors[event.average]
        source = self.roster.tensors[event.source]
        root = self.roster.module_name(source.root) if source.root >= 0 else "the model"
        at = event.written or event.site
        if self.cases.again(event.module, event.step):
            return
        owner = self.roster.module_name(event.module) if event.module >= 0 else average.name
        kept = f"{event.share:.2g}"
        self.cases.open(
            event.module,
            max(event.step, 1),
            at,
            f"`{owner}` keeps {kept} of itself at each update: it is the model of one "
            "step ago, not an average",
            label="mixes the two" if event.written else "the step before the update",
            because=because("stepped here", event.site if event.written else None),
            evidence=(
                seen(
                    f"share that `{average.name}` of `{owner}` kept of itself", f"{event.share:.2g}"
                ),
                seen(f"share of that of `{root}` in it", f"{1 - event.share:.3g}"),
                seen("updates measured, one after each step", event.updates),
            ),
            help="swap the two factors: `e.mul_(decay).add_(p, alpha=1 - decay)`",
            tensors=(event.average,),
            event=event.index,
        )
