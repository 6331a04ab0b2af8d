"""SL203: a step for which no backward has contributed since the last one."""

from steplens.model.event import Backward, Clear, Forward, GradCall, Step
from steplens.model.finding import Because, Evidence
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.idle_steps import Idle, IdleSteps

AGAIN = "a step used the same gradients as the step before it, with no backward in between"
FACTS = {
    "early": "a step ran before the backward pass of its own forward, and had nothing to use",
    "again": AGAIN,
    "elsewhere": AGAIN,
    "momentum": "a step moved parameters although no backward has contributed since the last one",
    "ungiven": "a step had nothing to use: what `autograd.grad` returned was not put in `.grad`",
    "nothing": "a step had nothing to use: no backward has run since the last one",
    "unmade": "a step had nothing to use: no backward has run of the forwards before it",
}


@rule("SL203", "step-without-backward", "warning", needs=("step",), claims=("step-skips-none",))
class StepWithoutBackward:
    """Steps for which no backward pass has contributed since the last one.

    ## What it does
    Reports an `optimizer.step()` that had nothing new to use: it ran before the backward pass of
    its forward, it used once more what the last step had used, it moved parameters by momentum and
    weight decay alone, or its gradients were computed by `autograd.grad` and never put in `.grad`.

    ## Why is this bad?
    Such a step moves nothing, or along an old gradient, or along momentum. It is not the step that
    the loss asks for, and the count of steps, the schedule and Adam's bias correction go on.

    ## Example
        optimizer.zero_grad()
        optimizer.step()
        loss.backward()

    ## Use instead
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    ## When it is fine
    A step that a `GradScaler` holds back; the first step of an optimizer, which may set up its
    state; gradients written by hand; a step that moves nothing when no forward awaits its backward
    (a schedule being drawn, the last step of an accumulation). A step repeated at one line after
    one backward pass, or many times after each of several, or a few times with the clock read
    before and after the loop, is not reported: it is how steps are timed. Nor is a search along a
    gradient, which uses the model between its steps.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.idle = IdleSteps(roster)
        # reported for being at another line than the step before: taken back where the line goes on
        self.once: set[object] = set()
        self.left_off = False  # the newest forward had recording left off: SL106 tells

    def forward(self, event: Forward) -> None:
        self.left_off = event.off_since >= 0
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
        if found is None or found.kind == "cleared" or self.left_off:
            return
        cause = event.site or event.optimizer
        if found.kind == "timed":
            if cause in self.once:
                self.once.remove(cause)
                self.cases.withdraw(cause)
            return
        if found.kind != "elsewhere":
            self.once.discard(cause)
        if not self.cases.again(cause, event.step + 1) and self._sure(found):
            self._open(cause, found)
            if found.kind == "elsewhere":
                self.once.add(cause)

    def _sure(self, found: Idle) -> bool:
        """One repeated update is a fact by itself; a step that does little must do so twice."""
        return found.kind in ("again", "elsewhere") or found.times >= 2

    def _open(self, cause: object, found: Idle) -> None:
        step = found.step
        self.cases.open(
            cause,
            step.step + 1,
            step.site,
            FACTS[found.kind],
            label="stepped here",
            because=self._because(found),
            evidence=self._evidence(found),
            help="put what `autograd.grad` returns in `parameter.grad`, or call `loss.backward()`"
            if found.kind == "ungiven"
            else "call `loss.backward()` before each "
            f"`{self.roster.variable(step.optimizer)}.step()`, and step once for each",
            event=step.index,
            tensors=self.roster.optimizers[step.optimizer].tensors
            if found.kind == "unmade"
            else (),
        )
        self.cases.amend(cause, first_step=found.first, count=found.times)

    def _because(self, found: Idle) -> tuple[Because, ...]:
        last = found.last.site if found.last is not None else None
        forward = found.forward.site if found.forward is not None else None
        backward = self.idle.sites.get(max(self.idle.sites, default=-1))
        computed = self.idle.computed
        return (
            *because("the step before it", last if last != found.step.site else None),
            *because("no backward had run of this forward", forward),
            *because("the newest backward pass before it", backward),
            *because(
                "the gradients were computed here",
                computed.site if computed is not None and found.kind == "ungiven" else None,
            ),
        )

    def _evidence(self, found: Idle) -> tuple[Evidence, ...]:
        step = found.step
        count = len(self.roster.optimizers[step.optimizer].tensors)
        used = sum(len(share.tensors) for share in step.uses)
        old = [seen("gradients used a second time", used, 0)] if used else []
        return (
            seen("new contributions to its gradients", 0, "at least 1"),
            *old,
            seen("parameters the step moved", f"{step.moved} of {count}"),
        )
