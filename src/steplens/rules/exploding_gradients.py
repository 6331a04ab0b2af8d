"""SL602: the gradient norm grew far past its own median, and the loss went with it."""

import math
from collections import deque
from statistics import median

from steplens.model.event import Step, Values
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, number, rule, seen

FACTOR = 1e3
THROWN = 0.1  # of the weights' size: what a step moves them by that undoes those before it
LOOKS = 10  # before a median means anything


class Past:
    """What was seen of one optimizer's gradients and losses."""

    def __init__(self) -> None:
        self.norms: deque[float] = deque(maxlen=200)
        self.worst: float | None = None  # the largest loss of the first looks
        self.peak: Values | None = None  # a look past the limit, not yet told
        self.usual = 0.0
        self.first = 0.0  # the median of the first five


@rule("SL602", "exploding-gradients", "warning", needs=("values",))
class ExplodingGradients:
    """Gradients that grew past a thousand times their own median, and ruined the loss.

    ## What it does
    Follows the norm of the gradients that each optimizer's steps used. Reports the first that is
    over 1,000 times the median of all looks before it, and of the first five, in a step that moved
    the weights by over a tenth of their size, once the loss of a later batch is above twice the
    worst of the first ten looks. Or whatever it moved, once a value is no longer finite.

    ## Why is this bad?
    One such step undoes all before it: the weights land where the loss is useless, and often end as
    infinities a few steps later.

    ## Example
        loss.backward()
        optimizer.step()

    ## Use instead
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    ## When it is fine
    The norm is read as the step uses it, so clipped gradients do not count. A single large batch
    from which the loss recovers is not reported, nor a model that had converged and is shown new
    data, nor a loss that is multiplied by more from some step on (a penalty's weight) while the
    weights move on in small steps. Norms are read at the first ten steps and then on a cadence that
    keeps the budget; at least ten looks are needed before the first report.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.past = Newest[int, Past](64)
        self.sites = Newest[int, Site | None](64)

    def step(self, event: Step) -> None:
        self.sites[event.optimizer] = event.site

    def values(self, event: Values) -> None:
        past = self.past.get(event.optimizer)
        if past is None:
            past = self.past[event.optimizer] = Past()
        if event.bad or not event.loss_finite:
            if past.peak is not None:
                self.tell(event, past)
        elif event.full and event.gradient is not None:
            self.look(event, past, event.gradient)

    def look(self, event: Values, past: Past, norm: float) -> None:
        if event.loss is not None and len(past.norms) < LOOKS:
            past.worst = max(event.loss, past.worst if past.worst is not None else event.loss)
        self.confirm(event, past, norm)
        usual = max(median(past.norms), past.first) if len(past.norms) >= LOOKS else 0.0
        if usual and norm > FACTOR * usual:
            if past.peak is None or not thrown(past.peak):
                past.peak, past.usual = event, usual
        else:
            past.norms.append(norm)
            if len(past.norms) == 5:
                past.first = median(past.norms)

    def confirm(self, event: Values, past: Past, norm: float) -> None:
        """Whether the loss of a later batch says that the large step has done harm."""
        if past.peak is not None and event.loss is not None and past.worst is not None:
            if event.loss > past.worst + abs(past.worst) and thrown(past.peak):
                self.tell(event, past)
            elif norm < 10 * past.usual:
                past.peak = None  # one large batch, from which it has recovered

    def tell(self, event: Values, past: Past) -> None:
        peak = past.peak
        last = event.step
        if peak is None or self.cases.again(event.optimizer, last):
            return
        step = peak.step  # steps ended when the look was told: the one it belongs to
        optimizer = self.roster.optimizers.get(event.optimizer)
        at = peak.site or self.sites.get(event.optimizer)
        became = "not finite" if event.loss is None else number(event.loss)
        largest = named(self.roster, (peak.largest,)) if peak.largest >= 0 else ""
        self.cases.open(
            event.optimizer,
            step,
            at,
            f"the gradient norm rose to {number((peak.gradient or 0.0) / past.usual)} times its "
            f"median, and the loss to {became}",
            label="used these gradients as they were",
            because=because("its learning rate is set here", optimizer.site if optimizer else None),
            evidence=(
                seen("|gradient|", peak.gradient or 0.0, past.usual),
                seen("largest in", f"{largest}, norm {number(peak.largest_norm)}"),
                seen("loss afterwards", became, f"{number(past.worst or 0.0)} at most at first"),
                seen("looks", f"{len(past.norms)} before it"),
            ),
            help="clip the gradients between `backward()` and `step()`, or lower the learning rate",
            event=peak.index,
        )


def thrown(event: Values) -> bool:
    """Whether the step moved the weights far, all together; True where it was not measured."""
    weight = math.hypot(*(size.weight or 0.0 for size in event.sizes))
    update = math.hypot(*(size.update or 0.0 for size in event.sizes))
    return not weight or update > THROWN * weight
