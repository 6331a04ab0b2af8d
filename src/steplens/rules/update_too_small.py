"""SL606: no layer was moved by more than 1e-7 of its size at any look."""

from steplens.model.event import Step, Values
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, number, rule, seen

LOOKS = 10
RATIO = 1e-7


class Seen:
    """The looks at one optimizer so far."""

    __slots__ = ("looks", "most", "lowest", "rates")

    def __init__(self) -> None:
        self.looks = 0
        self.most = 0.0
        self.lowest = 0.0
        self.rates: tuple[float, ...] = ()


@rule("SL606", "update-too-small", "note", needs=("values",))
class UpdateTooSmall:
    """Steps that moved no layer by more than 1e-7 of its size.

    ## What it does
    Compares the norm of what a step changed with the norm of the weight, for each tensor of the
    optimizer. Notes an optimizer for which the largest ratio was above 0 and under 1e-7 at each of
    at least ten looks from its first step on.

    ## Why is this bad?
    In float32 a number holds seven digits: smaller updates are lost to rounding, and the model
    stays where it was. Usually the learning rate or the scale of the loss is off by many orders.

    ## Example
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)

    ## Use instead
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)

    ## When it is fine
    Warm-up: looks at a learning rate that was still rising are not counted. Steps at learning rate
    0 have a rule of their own. Large tensors are measured on 65,536 evenly spaced elements.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.seen = Newest[int, Seen](64)
        self.rates = Newest[int, tuple[float, ...]](64)

    def step(self, event: Step) -> None:
        self.rates[event.optimizer] = event.lrs

    def values(self, event: Values) -> None:
        if event.ratio is None or event.optimizer not in self.rates:
            return
        past = self.seen.get(event.optimizer)
        if past is None:
            past = self.seen[event.optimizer] = Seen()
        rates = self.rates[event.optimizer]
        if any(now > was for now, was in zip(rates, past.rates, strict=False)):
            past.looks = 0  # still rising
        past.rates = rates
        past.looks += 1
        past.most = max(past.most, event.ratio)
        if past.most >= RATIO or not past.most:
            self.cases.withdraw(event.optimizer)
        elif past.looks >= LOOKS and not self.cases.again(event.optimizer, event.step):
            self.tell(event, past)

    def tell(self, event: Values, past: Seen) -> None:
        entry = self.roster.optimizers.get(event.optimizer)
        site = entry.site if entry is not None else None
        rates = ", ".join(number(rate) for rate in past.rates)
        self.cases.open(
            event.optimizer,
            event.step,
            site or event.site,
            f"no layer moved by more than {number(past.most)} of its size at {past.looks} looks",
            label="its learning rate is set here",
            because=because("stepped here", event.site if site is not None else None),
            evidence=(
                seen("largest |update|/|weight|", past.most, f"above {number(RATIO)}"),
                seen("learning rate", rates),
                seen("|gradient|", event.gradient or 0.0),
            ),
            help="raise the learning rate, or look at the scale of the loss",
            event=event.index,
        )
