"""SL104: a functional dropout dropped values inside a module in eval mode."""

from steplens.model.event import Drop
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen


@rule(
    "SL104",
    "dropout-ignores-eval",
    "error",
    needs=("forward",),
    claims=("functional-dropout-has-its-own-flag",),
)
class DropoutIgnoresEval:
    """Dropout that dropped values inside a module that is in eval mode.

    ## What it does
    Reports calls of `torch.nn.functional.dropout` and its kin, and of
    `scaled_dot_product_attention` with `dropout_p`, that dropped values while the innermost running
    module was in eval mode, or in a method of such a module that was called by its name, without
    grad; and Dropout modules that the module running them does not hold, so that its `eval()` never
    reaches them.

    ## Why is this bad?
    `F.dropout(x, p)` has its own flag, which is on by default, and knows nothing of the module
    around it. `model.eval()` leaves it dropping: evaluation is random, and worse than the model is.

    ## Example
        h = F.dropout(h, p=0.5)
        a = F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)

    ## Use instead
        h = F.dropout(h, p=0.5, training=self.training)
        a = F.scaled_dot_product_attention(q, k, v, dropout_p=self.p if self.training else 0.0)

    ## When it is fine
    `F.dropout(x, p, self.training)`; Monte Carlo dropout with the module's own flag on, or with an
    argument that minds it (`training=self.training or sample`). A call that writes `training=True`
    may be meant (the pre-net of Tacotron 2, Bayesian nets): that is a note. So is a layer of the
    program's own, without parameters, that gives back its input times 0 here and times one number
    above 1 there, by a mask that it draws; other masks made by hand are not looked at.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases

    def drop(self, event: Drop) -> None:
        cause = event.site or event.module
        if self.cases.again(cause, max(event.step, 1)):
            return
        module = self.roster.module_name(event.module)
        words = f"`{event.function}`"
        help = "pass `training=self.training`"
        if event.function == "scaled_dot_product_attention":
            help = "pass `dropout_p=p if self.training else 0.0`"
        if event.stray >= 0:
            words = f"a `{self.roster.modules[event.stray].type}` that `{module}` does not hold"
            help = "make the Dropout in `__init__` and keep it as an attribute of the module"
        if event.masked:
            words = f"the mask of `{event.function}`"
            help = "give the input back as it is where `self.training` is False"
        evidence = [seen(f"`{module}.training`", "False", "True where dropout is on")]
        if event.of:
            evidence.append(seen("values set to zero", f"{event.dropped} of {event.of}", 0))
        evidence.append(seen("p", event.p))
        self.cases.open(
            cause,
            max(event.step, 1),
            event.site,
            f"{words} dropped values inside a module in eval mode",
            label="dropped values in eval mode",
            evidence=evidence,
            help=help,
            severity="note" if event.given or event.masked else None,
            event=event.index,
        )
