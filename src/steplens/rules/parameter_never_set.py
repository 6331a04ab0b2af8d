"""SL609: a parameter made of memory that nothing was written to."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen


@rule("SL609", "parameter-never-set", "error", needs=("vain",))
class ParameterNeverSet:
    """A parameter made of memory that nothing was written to.

    ## What it does
    Reports a parameter that a class of the program's own makes of `torch.empty(...)`, or of
    `torch.Tensor(rows, columns)`, when it has a gradient at the first step of its optimizer and
    holds to the last bit what it held when it was registered: nothing has initialised it.

    ## Why is this bad?
    Such memory holds what was there before: zeros in one run, the remains of other tensors or NaN
    in the next, on another machine or with another batch size. The run depends on chance.

    ## Example
        self.proj = nn.Parameter(torch.empty(width, dim))

    ## Use instead
        self.proj = nn.Parameter(torch.empty(width, dim))
        nn.init.normal_(self.proj, std=width**-0.5)

    ## When it is fine
    Parameters that were written since, in whatever way, or moved to another device; those that a
    state was loaded into; those without a gradient. Only what is made before the first step of the
    program is looked at, on the CPU.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what != "unset" or self.cases.again(event.site, event.step + 1):
            return
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            f"`{event.name}` is trained from what its memory held: nothing has initialised it",
            label="made without values",
            evidence=(seen("writes to it before the first step", 0, 1),),
            help="initialise it: `nn.init.normal_(parameter, std=0.02)`, or make it of "
            "`torch.randn(...)`",
            event=event.index,
        )
