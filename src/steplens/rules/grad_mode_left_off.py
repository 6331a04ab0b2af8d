"""SL106: gradient recording is off at a training forward, as a switch was never undone."""

from steplens.model.event import Backward, Failure, Forward, GradMode, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.trees import Trees


@rule(
    "SL106",
    "grad-mode-left-off",
    "error",
    needs=("forward",),
    claims=("set-grad-enabled-outlives-its-function",),
)
class GradModeLeftOff:
    """Training forwards without gradient recording, as an earlier switch was never undone.

    ## What it does
    Reports a `torch.set_grad_enabled(False)` that no call undid, a `torch.no_grad()` or
    `inference_mode()` entered by hand and not left, or a block left open in a suspended generator,
    when a forward after it was meant to train: its backward failed, its loss had no graph, or a
    step came with nothing new to use.

    ## Why is this bad?
    `torch.set_grad_enabled(False)` lasts until somebody calls it again, beyond the function it
    stands in. The forward builds no graph: `backward()` fails or does nothing, and the weights move
    by old momentum at most.

    ## Example
        def validate(model):
            torch.set_grad_enabled(False)
            return score(model(x))

    ## Use instead
        def validate(model):
            with torch.no_grad():
                return score(model(x))

    ## When it is fine
    Forwards with no backward and no step after them: evaluation and inference programs. Steps on
    gradients written by hand. A forward inside a `with torch.no_grad():` block that is running is
    SL210's, if a backward fails on it.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = Trees(roster)
        self.switches = Newest[int, GradMode](64)
        self.first: Forward | None = None  # the first forward since recording was left off
        self.latest: Forward | None = None
        self.past: Forward | None = None  # `latest` when recording was switched on again

    def grad_mode(self, event: GradMode) -> None:
        if event.enabled:
            self.past = self.latest or self.past
            self.first = self.latest = None
            return
        self.switches[event.index] = event

    def forward(self, event: Forward) -> None:
        if event.off_since >= 0:
            if self.first is None or self.first.off_since != event.off_since:
                self.first = event
            self.latest = event
        elif self.first is not None and event.grad:
            self.first = self.latest = None

    def backward(self, event: Backward) -> None:
        if self.latest is not None and event.root_leaf and not event.forwards:
            self._open(event.step, self.latest, event.site, "a backward on a loss without a graph")

    def step(self, event: Step) -> None:
        forward = self.latest
        if forward is None or event.skipped or event.unknown:
            return
        new = any(not held.used_by for share in event.uses for held in share.holds)
        if not new and self.trees.trains(event.optimizer, forward.module):
            self._open(event.step, forward, event.site, "a step with nothing new to use")

    def failure(self, event: Failure) -> None:
        forward = self.latest or self.past  # the exception itself may have ended the block
        if forward is not None and event.explains == "no-graph" and event.cause == forward.index:
            self._open(event.step, forward, event.site, "a backward that failed")

    def _open(self, step: int, forward: Forward, site: Site | None, met: str) -> None:
        switch = self.switches.get(forward.off_since)
        cause = switch.site if switch is not None and switch.site is not None else -1
        if self.cases.again(cause, step + 1):
            return
        how = switch.how if switch is not None else "a switch"
        self.cases.open(
            cause,
            step + 1,
            switch.site if switch is not None else forward.site,
            f"gradient recording is off at a training forward: `{how}` was never undone",
            label="switched off here, and never on again",
            because=(
                *because("this forward built no graph", forward.site),
                *because(f"met by {met}", site),
            ),
            evidence=[
                seen("torch.is_grad_enabled() at the forward", "False", "True"),
                seen("steps between the switch and it", step - (switch.step if switch else 0)),
            ],
            help="use `with torch.no_grad():`, which undoes itself, or call "
            "`torch.set_grad_enabled(True)` before training goes on",
            event=forward.index,
        )
