"""SL202: contributions were cleared unused, and the step that followed had nothing to use."""

from steplens.model.event import Backward, Clear, Clip, Forward, GradCall, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.idle_steps import Idle, IdleSteps
from steplens.rules.wasted import Waste, Wasted


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
    has used, when the step that follows has nothing new to use, twice in a row. Also a warning for
    an optimizer before each of whose steps several backward passes ran at one line, of which all
    but the last were cleared whole and unused: `zero_grad()` inside of an accumulation window, or
    a step that has slipped out of the loop over the batches; or a backward pass of another loss
    was, which alone reaches some of its parameters, or whose gradients nothing can have read, as no
    code of the program names `.grad` or a hook: `zero_grad()` between two losses.

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
    backward pass that was not for training (at another line, of parameters that are trained all the
    same, or not before each step), of the other network of a GAN, or with parameters written in
    between (SAM). The first step of an optimizer is not counted, nor is a clear of gradients that
    are not finite (a bad batch is skipped). Gradients written by hand end the row, and an optimizer
    that takes gradients in a method of its own beside `step` (as for differential privacy) may have
    used those cleared.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.idle = IdleSteps(roster)
        self.wasted = Wasted(roster)

    def forward(self, event: Forward) -> None:
        self.idle.forward(event)

    def backward(self, event: Backward) -> None:
        self.idle.backward(event)
        self.wasted.backward(event)

    def grad(self, event: GradCall) -> None:
        self.idle.backward(event)

    def clip(self, event: Clip) -> None:
        self.wasted.clip(event)

    def clear(self, event: Clear) -> None:
        if event.lost:
            self.idle.clear(event)
            self.wasted.clear(event)

    def step(self, event: Step) -> None:
        waste = self.wasted.step(event, self.cases.weight)
        if waste is not None:
            self._waste(waste)
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

    def _waste(self, found: Waste) -> None:
        """Open or bring up to date the finding on backward passes whose gradients were lost."""
        step, clear = found.step, found.clear
        cause = ("wasted", clear.site or step.optimizer)
        count, passes = found.lost, found.lost + found.used
        if not self.cases.again(cause, step.step + 1):
            self.cases.open(
                cause,
                found.first,
                clear.site,
                f"of {passes} backward passes before each step {count} were cleared unused",
                label="cleared here",
                because=(
                    *because("this backward had made them", found.backward),
                    *because("this step used the last ones only", step.site),
                ),
                help="step once for each backward, or accumulate: call `zero_grad()` only after "
                "`step()`",
                severity="warning",
                event=step.index,
            )
        evidence = (
            seen("backward passes cleared unused so far", found.all, 0),
            seen("steps that they came before", found.times),
            *(
                [seen("reached by these backward passes only", named(self.roster, found.only))]
                if found.only
                else []
            ),
        )
        self.cases.amend(cause, evidence=evidence, count=found.times)
