"""SL314: a scheduler moves the rate of an optimizer that another has replaced."""

from steplens.model.event import Schedule, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, number, rule, seen

MISSES = 2  # steps of the scheduler without one of its optimizer


@rule("SL314", "scheduler-drives-idle-optimizer", "warning", needs=("schedule",))
class SchedulerDrivesIdleOptimizer:
    """A scheduler of an optimizer that no longer steps, while another one moves its parameters.

    ## What it does
    Reports a scheduler that steps twice without its optimizer having stepped in between, while
    another optimizer that holds some of the same parameters did, at another learning rate than the
    scheduled one.

    ## Why is this bad?
    The scheduler was made for the optimizer before it was made anew. It goes on writing the
    learning rate of the old one; the optimizer that trains keeps its own for the whole run.

    ## Example
        scheduler = StepLR(optimizer, 10)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    ## Use instead
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        scheduler = StepLR(optimizer, 10)

    ## When it is fine
    Wrappers that share their groups with the optimizer inside (SAM, Lookahead) pass the rate on and
    are not reported; neither are two optimizers that take turns.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.steps: dict[int, Step] = {}  # optimizer -> its last step
        self.last: dict[int, Schedule] = {}
        self.misses: dict[int, int] = {}

    def step(self, event: Step) -> None:
        self.steps[event.optimizer] = event

    def schedule(self, event: Schedule) -> None:
        before = self.last.get(event.scheduler)
        self.last[event.scheduler] = event
        if before is None or event.optimizer < 0:
            return
        own = self.steps.get(event.optimizer)
        if own is not None and own.index > before.index:
            self.misses[event.scheduler] = 0
            return
        other = self._other(event, before)
        if other is None:
            return
        missed = self.misses.get(event.scheduler, 0) + self.cases.weight
        self.misses[event.scheduler] = missed
        if missed >= MISSES and not self.cases.again(event.scheduler, other.step + 1):
            self._open(event, other, missed)

    def _other(self, event: Schedule, before: Schedule) -> Step | None:
        """Another optimizer that has moved the same parameters since, at another rate."""
        mine = set(self.roster.optimizers[event.optimizer].tensors)
        for optimizer, step in self.steps.items():
            if optimizer == event.optimizer or step.index < before.index or not step.lrs:
                continue
            held = self.roster.optimizers[optimizer].tensors
            if not mine.isdisjoint(held) and {*step.lrs} != {*before.lrs}:
                return step
        return None

    def _open(self, event: Schedule, other: Step, missed: int) -> None:
        entry = self.roster.schedulers[event.scheduler]
        idle, active = (
            self.roster.optimizers[event.optimizer],
            self.roster.optimizers[other.optimizer],
        )
        self.cases.open(
            event.scheduler,
            other.step + 1,
            entry.site,
            f"`{entry.type}` sets the learning rate of an optimizer that does not step, while "
            "another one moves the same parameters",
            label="made for the other optimizer",
            because=(
                *because("the optimizer it was made for", idle.site),
                *because("the optimizer that steps", active.site),
                *because("the scheduler steps here", event.site),
            ),
            evidence=[
                seen("learning rate scheduled", ", ".join(number(rate) for rate in event.lrs)),
                seen("learning rate of the steps", ", ".join(number(rate) for rate in other.lrs)),
                seen("steps of the scheduler without one of its optimizer", missed, 0),
            ],
            help="make the scheduler after the last optimizer, with that optimizer",
            event=event.index,
            tensors=sorted({*idle.tensors}.intersection(active.tensors)),
        )
