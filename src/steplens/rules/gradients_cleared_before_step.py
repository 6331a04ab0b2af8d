"""SL202: contributions were cleared unused, and the step that followed had nothing to use."""

from steplens.model.event import Backward, Clear, Forward, GradCall, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.idle_steps import Idle, IdleSteps


@rule(
    "SL202",
    "gradients-cleared-before-step",
    "error",
    needs=("clear", "step"),
    claims=("zero-grad-frees-grad",),
)
class GradientsClearedBeforeStep:
    """Gradients cleared after the backward pass and before the step that should use them.

    ## What it does
    Reports a clear (either `zero_grad`, `p.grad = None`, `.zero_()`) of contributions that no step
    has used, when the step that follows has nothing new to use, twice in a row.

    ## Why is this bad?
    `step()` skips parameters without a gradient and says nothing. The parameters stay as they are,
    or move by momentum and weight decay alone, however long the program runs.

    ## Example
        loss.backward()
        optimizer.zero_grad()
        optimizer.step()

    ## Use instead
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    ## When it is fine
    A clear that throws gradients away before the next backward pass: at the start of a run, after a
    backward pass that was not for training, of the other network of a GAN. The first step of an
    optimizer is not counted, nor is a clear of gradients that are not finite (a bad batch is
    skipped). Gradients written by hand end the row.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.idle = IdleSteps(roster)

    def forward(self, event: Forward) -> None:
        self.idle.forward(event)

    def backward(self, event: Backward) -> None:
        self.idle.backward(event)

    def grad(self, event: GradCall) -> None:
        self.idle.backward(event)

    def clear(self, event: Clear) -> None:
        if event.lost:
            self.idle.clear(event)

    def step(self, event: Step) -> None:
        found = self.idle.step(event)
        if found is None or found.kind != "cleared" or found.clear is None:
            return
        cause = found.clear.site or event.optimizer
        if not self.cases.again(cause, event.step + 1) and found.times >= 2:
            self._open(cause, found, found.clear)

    def _open(self, cause: object, found: Idle, clear: Clear) -> None:
        step = found.step
        unused = [share for share in clear.lost if not share.holds[-1].used_by]
        tensors = [tensor for share in unused for tensor in share.tensors]
        count = len(self.roster.optimizers[step.optimizer].tensors)
        self.cases.open(
            cause,
            step.step + 1,
            clear.site,
            "gradients were cleared before any step used them, and the step had nothing to use",
            label="cleared here",
            because=(
                *because(
                    "this backward had made them",
                    self.idle.sites.get(unused[0].holds[-1].backward),
                ),
                *because("this step found nothing to use", step.site),
            ),
            evidence=(
                seen("gradients cleared unused", f"{len(tensors)} ({named(self.roster, tensors)})"),
                *([seen("|gradient| cleared", clear.norm)] if (clear.norm or 0.0) > 0 else []),
                seen("gradients the step used", 0, count),
                seen("parameters the step moved", f"{step.moved} of {count}"),
            ),
            help="call `zero_grad()` before `backward()` or after `step()`, not between them",
            event=step.index,
            tensors=tensors,
        )
        self.cases.amend(cause, first_step=found.first, count=found.times)
