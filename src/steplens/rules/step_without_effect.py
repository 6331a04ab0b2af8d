"""SL311: a step that left the parameters bit for bit as they were."""

from steplens.model.event import Effect, Step, Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.rounded import STOOD, stood

NARROW = 0.98  # of the elements, for parameters of 16 bits: those near zero still move
TIMES = 2  # looks in a row
FAINT = 1e-6  # of the largest rate: SL306 tells of these
ROUNDING = 1e-6  # of the weights' norm: a gradient below is 0 but for rounding
FOREIGN = 8  # looks in a row, for optimizers that are not torch's own
VAIN = {
    "name": ("binds a name to new values: no parameter changes", "nothing reads this name again"),
    "bind": ("binds one name to what another stands for: nothing is copied", "copies nothing"),
    "drop": ("makes new values and drops them: it writes nothing", "the result goes nowhere"),
}


@rule("SL311", "step-without-effect", "error", needs=("step",))
class StepWithoutEffect:
    """Steps that left the parameters bit for bit as they were.

    ## What it does
    Reports an optimizer whose steps had finite gradients that are not zero and a learning rate that
    is not 0, and changed no bit of the parameters they belong to. For parameters of 16 bits it is
    enough that 98 of 100 elements of the matrices keep their bits: a bias that begins at 0 takes up
    the smallest update. It takes two looks in a row (eight for an optimizer of the program's own);
    values are read at the first steps and then on a cadence. As a warning, one of torch's own that
    leaves half of these elements where they were, at all of four looks or more, 64 steps apart,
    each time with a gradient that is more than a trace. So is a line that changes nothing though it
    looks like an update: in a loop over parameters, it binds the loop's variable
    (`p = 0.9 * p + 0.1 * q`), or drops what it computes (`p.mul(0.9).add(q)`); or in a loop through
    a `zip` it binds one variable to the other (`p = q`), and that is all.

    ## Why is this bad?
    bfloat16 keeps 8 bits of a number: added to a weight of 0.6, an update under 0.0019 is rounded
    away, every time. Or the step writes to a copy, not to the parameters. The loss moves with the
    batches and looks like training.

    ## Example
        model = Net().to(torch.bfloat16)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)

    ## Use instead
        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
        with torch.autocast("cuda", torch.bfloat16):
            loss = criterion(model(x), y)

    ## When it is fine
    Gradients of zero, a rate of 0, steps that a `GradScaler` held back, steps with a closure (LBFGS
    stops where it has converged), and optimizers that apply every few steps are not reported; nor
    is one that has moved parameters of 32 bits before, as it has converged. Half of the elements
    are not counted while the rate rises, as in a warm-up, or is under a tenth of its largest, nor
    for optimizers of the program's own, which may keep what is rounded away (Kahan) or round at
    random, or for one that steps copies of 32 bits.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.peaks: dict[int, float] = {}  # optimizer -> its largest learning rate
        self.looks: dict[int, int] = {}  # optimizer -> looks in a row without effect
        self.worked: set[int] = set()  # optimizers that had one, by their own arithmetic

    def step(self, event: Step) -> None:
        stood(event, self.roster, self.cases)
        rate = max(event.lrs, default=0.0)
        peak = self.peaks[event.optimizer] = max(self.peaks.get(event.optimizer, 0.0), rate)
        effect = event.effect
        if effect is None or event.skipped or (effect.foreign and effect.narrow):
            return  # an author's own optimizer of 16 bits may keep what is rounded away
        if not self._stood_still(effect) or not rate > FAINT * peak or _rounding(effect):
            self.looks[event.optimizer] = 0
            if effect.still < effect.elements and not (effect.narrow or effect.foreign):
                self.worked.add(event.optimizer)
            if effect.still < 0.5 * effect.elements:  # a warm-up that began below the precision
                self.cases.withdraw(event.optimizer)
            return
        if event.optimizer in self.worked:
            return
        looks = self.looks[event.optimizer] = self.looks.get(event.optimizer, 0) + 1
        if looks < (FOREIGN if effect.foreign else TIMES):
            return
        if not self.cases.again(event.optimizer, event.step + 1):
            self._open(event, effect, looks)

    def vain(self, event: Vain) -> None:
        if event.what in VAIN and not self.cases.again(event.name, event.step):
            self.cases.open(
                event.name,
                max(event.step, 1),
                event.site,
                f"`{event.name}` {VAIN[event.what][0]}",
                label=VAIN[event.what][1],
                help="write in place, under `torch.no_grad()`: `p.copy_(...)`, `p.lerp_(q, 0.1)`",
                event=event.index,
            )

    def _stood_still(self, effect: Effect) -> bool:
        least = (NARROW if effect.narrow else 1.0) * effect.elements
        return effect.elements > 0 and effect.still >= least

    def _open(self, event: Step, effect: Effect, looks: int) -> None:
        self.cases.withdraw((STOOD, event.optimizer))
        entry = self.roster.optimizers[event.optimizer]
        help = "let the optimizer step the model's own parameters, in place"
        if effect.narrow:
            help = "keep the parameters in float32 and compute under `torch.autocast`"
        evidence = [
            seen(
                "elements with a gradient that kept their bits",
                f"{effect.still} of {effect.elements}",
                "0",
            ),
            seen("learning rate", max(event.lrs)),
        ]
        if effect.grad_norm is not None and effect.weight_norm is not None:
            evidence += [
                seen("|gradient| of these", effect.grad_norm),
                seen("|weight| of these", effect.weight_norm),
            ]
        self.cases.open(
            event.optimizer,
            event.step + 1,
            event.site,
            f"{looks} steps of `{entry.type}` left the parameters bit for bit as they were, with "
            "gradients that are not zero",
            label="stepped here without effect",
            because=because("the optimizer was made here", entry.site),
            evidence=evidence,
            help=help,
            event=event.index,
            tensors=entry.tensors,
        )


def _rounding(effect: Effect) -> bool:
    """Whether the gradients are 0 but for rounding, as those of a bias before a norm are."""
    if effect.narrow or effect.grad_norm is None or effect.weight_norm is None:
        return False
    return effect.grad_norm < ROUNDING * effect.weight_norm
