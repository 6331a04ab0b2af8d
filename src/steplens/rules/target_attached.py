"""SL524: a target made of the network's own estimate, with its gradient."""

from steplens.model.event import Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL524", "target-attached", "warning", needs=("backward",))
class TargetAttached:
    """A target made of the network's own next estimate, which takes a gradient of the loss.

    ## What it does
    Reports a loss of a prediction and a target `r + gamma * v`, as in Q-learning and other temporal
    differences, when `v` carries a gradient to the parameters that made the prediction. `v` is
    known by the maximum or the pick over actions, or by a mask of what has ended.

    ## Why is this bad?
    The target is what the prediction is to learn. With a gradient, the loss falls by moving the
    target to the prediction as well: the values of the next states are drawn to those of the
    states before, and converge to something else, slowly (Baird's residual gradient), or to
    nothing. Nothing fails, and the loss goes down.

    ## Example
        target = reward + gamma * (1 - done) * q(next_state).max(1).values
        loss = F.mse_loss(q(state).gather(1, action).squeeze(1), target)

    ## Use instead
        with torch.no_grad():
            target = reward + gamma * (1 - done) * q(next_state).max(1).values

    ## When it is fine
    A target that is detached, or of a network of other parameters; consistency losses, where both
    sides are predictions; equations that are stepped in time, `u(t) + dt * f`; and residual
    gradients that are meant, which look the same. The first graphs are read.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def vain(self, event: Vain) -> None:
        if event.what != "bootstrapped" or self.cases.again(event.site, event.step + 1):
            return
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            "this target is made of the network's own estimate, with its gradient: the loss moves "
            "the target to the prediction as well",
            label="a target that takes a gradient",
            because=because("the loss", event.other if event.other != event.site else None),
            evidence=(
                seen("parameters that made the prediction and the target", int(event.value or 0),
                     "no gradient through the target"),
            ),
            help="detach the target, or make it in `torch.no_grad()`",
            event=event.index,
        )  # fmt: skip
