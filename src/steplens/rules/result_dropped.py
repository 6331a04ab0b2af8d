"""SL515: a line that makes a new tensor and drops it, or only names a method."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule


@rule("SL515", "result-dropped", "warning", needs=("vain",))
class ResultDropped:
    """A line that makes a new tensor and drops it.

    ## What it does
    Reports a statement of a running function that is only a call which makes a new tensor of
    another (`masked_fill`, `scatter_add`, `unsqueeze` and the like, `torch.clamp`, `F.dropout`),
    when the tensor it is made of is read again further down in that function. Reports a statement
    of a running method, too, that binds a sum with `self.x` in it to a variable `x` which nothing
    reads, when no method but `__init__` sets `self.x` or writes to it; and a statement that names a
    method which writes in place, such as `requires_grad_`, without the parentheses that call it.
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
    are not used again, as in a line that is timed, are not reported; nor are methods that objects
    other than tensors may have.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what == "own" and not self.cases.again(event.site, event.step):
            self._unset(event)
        if event.what == "uncalled" and not self.cases.again(event.site, event.step):
            self._uncalled(event)
        if event.what == "lost" and not self.cases.again(event.site, event.step):
            self._lost(event)
        if event.what != "made" or self.cases.again(event.site, event.step):
            return
        self.cases.open(
            event.site,
            max(event.step, 1),
            event.site,
            f"`{event.name}` makes a new tensor, which is dropped: the one it is made of is as it "
            "was",
            label="the result goes nowhere",
            help="bind the result, or write in place by the method with an underscore",
            event=event.index,
        )

    def _lost(self, event: Vain) -> None:
        self.cases.open(
            event.site,
            max(event.step, 1),
            event.site,
            f"`{event.name}` is computed here, and bound to another value before anything reads "
            "it: this term is in no gradient",
            label="the result goes nowhere",
            because=because("bound anew here", event.other),
            help=f"add them up: `{event.name} = {event.name} + ...`, or leave this line out",
            event=event.index,
        )

    def _uncalled(self, event: Vain) -> None:
        self.cases.open(
            event.site,
            max(event.step, 1),
            event.site,
            f"`{event.name}` names a method and does not call it: nothing was written",
            label="no parentheses",
            help=f"call it: `{event.name}(...)`",
            event=event.index,
        )

    def _unset(self, event: Vain) -> None:
        self.cases.open(
            event.site,
            max(event.step, 1),
            event.site,
            f"a new value of `self.{event.name}` is bound to a variable `{event.name}`, which "
            f"nothing reads: `self.{event.name}` stays as it was made",
            label="the result goes nowhere",
            help=f"write to `self.{event.name}`, in place if it is a buffer",
            event=event.index,
        )
