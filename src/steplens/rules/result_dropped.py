"""SL515: a line that makes a new tensor and drops it, or only names a method."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule

NOWHERE = "the result goes nowhere"
WORDS = {  # what is said of each kind, its label, the help
    "made": (
        "`{}` makes a new tensor, which is dropped: the one it is made of is as it was",
        NOWHERE,
        "bind the result, or write in place by the method with an underscore",
    ),
    "own": (
        (
            "a new value of `self.{0}` is bound to a variable `{0}`, which nothing reads: "
            "`self.{0}` stays as it was made"
        ),
        NOWHERE,
        "write to `self.{}`, in place if it is a buffer",
    ),
    "uncalled": (
        "`{}` names a method and does not call it: this line does nothing",
        "no parentheses",
        "call it: `{}(...)`",
    ),
    "lost": (
        (
            "`{}` is computed here, and bound to another value before anything reads it: this term "
            "is in no gradient"
        ),
        NOWHERE,
        "add them up: `{0} = {0} + ...`, or leave this line out",
    ),
}


@rule("SL515", "result-dropped", "warning", needs=("vain",))
class ResultDropped:
    """A line that makes a new tensor and drops it.

    ## What it does
    Reports a statement of a running function that is only a call which makes a new tensor of
    another (`masked_fill`, `scatter_add`, `unsqueeze` and the like, `torch.clamp`, `F.dropout`),
    when the tensor it is made of is read again further down in that function. Reports a statement
    of a running method, too, that binds a sum with `self.x` in it to a variable `x` which nothing
    reads, when no method but `__init__` sets `self.x` or writes to it; and a statement that names a
    method (`requires_grad_`, `eval`, `zero_grad`, `step` and the like) without the parentheses that
    call it.
    Reports a loss that is computed, in a block that goes backward from it, and whose variable is
    bound to another value before anything reads it.

    ## Why is this bad?
    Methods without an underscore leave their tensor as it is. The mask is not applied, the values
    are not clipped, and nothing says so.

    ## Example
        scores.masked_fill(later, float("-inf"))
        weights = scores.softmax(-1)

    ## Use instead
        scores = scores.masked_fill(later, float("-inf"))
        weights = scores.softmax(-1)

    ## When it is fine
    Methods that write in place (`masked_fill_`), calls with `out=` or `inplace=`, and tensors that
    are not used again, as in a line that is timed, are not reported; nor are calls of methods that
    objects other than tensors may have.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what not in WORDS or self.cases.again(event.site, event.step):
            return
        message, label, help = WORDS[event.what]
        self.cases.open(
            event.site,
            max(event.step, 1),
            event.site,
            message.format(event.name),
            label=label,
            because=because("bound anew here", event.other),
            help=help.format(event.name),
            event=event.index,
        )
