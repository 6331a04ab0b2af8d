"""SL305: a scheduler steps before the optimizer's first step of each period."""

from steplens.model.event import Backward, Schedule, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, number, rule, seen

MOST = 64  # backward passes counted before an optimizer's first step


@rule("SL305", "scheduler-before-step", "warning", needs=("schedule",))
class SchedulerBeforeStep:
    """A scheduler that steps before the optimizer has.

    ## What it does
    Reports a line that steps a scheduler before the first step of its optimizer, and again, from
    the same line, after the optimizer has stepped: in every period the scheduler goes first.

    ## Why is this bad?
    The first value of the schedule is never used, and every later change comes one period early.
    torch warns of the first such call, once, among other output.

    ## Example
        for epoch in range(epochs):
            scheduler.step()
            train(model, optimizer)

    ## Use instead
        for epoch in range(epochs):
            train(model, optimizer)
            scheduler.step()

    ## When it is fine
    Steps before the loop that bring a schedule to where a run left off, a step with the epoch given
    as argument, and a first optimizer step that a `GradScaler` held back, or the program itself (a
    loss too large, an accumulation), so that more than one backward ran before it, are not
    reported.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.first: dict[int, Step] = {}  # optimizer -> its first step
        self.early: dict[int, Schedule] = {}  # scheduler -> its step before any of the optimizer
        self.passes: dict[int, int] = {}  # optimizer -> backward passes before its first step
        self.before: dict[int, int] = {}  # scheduler -> those before its early step

    def backward(self, event: Backward) -> None:
        for number_, entry in self.roster.optimizers.items():
            passes = self.passes.get(number_, 0)
            if number_ in self.first or passes >= MOST:
                continue
            if not {*event.leaves}.isdisjoint(entry.tensors):
                self.passes[number_] = passes + 1

    def step(self, event: Step) -> None:
        if event.optimizer not in self.first:
            self.first[event.optimizer] = event

    def schedule(self, event: Schedule) -> None:
        first = self.first.get(event.optimizer)
        number_ = event.scheduler
        if first is None:
            if event.count == 1 and not event.given:
                self.early[number_] = event
                self.before[number_] = self.passes.get(event.optimizer, 0)
            else:  # several: the schedule is brought forward
                self.early.pop(number_, None)
            return
        early = self.early.get(number_)
        if early is None or early.site != event.site:
            return
        if 0 < self.before[number_] < self.passes.get(event.optimizer, 0):
            return  # the optimizer's turn had come before, and its step was left out
        if self.cases.again(event.site, event.step):  # one line, however many schedulers it steps
            return
        entry = self.roster.schedulers[number_]
        begin = [g.get("initial_lr", g.get("lr")) for g in self._groups(event.optimizer)]
        used = ", ".join(number(rate) for rate in first.lrs)
        self.cases.open(
            event.site,
            1,
            event.site,
            f"`{entry.type}` steps before the optimizer in every period: its first value is never "
            "used",
            label="stepped here before the first optimizer step",
            because=(
                *because("the optimizer's first step came after it", first.site),
                *because("the scheduler was made here", entry.site),
            ),
            evidence=[
                seen("learning rate of the first optimizer step", used),
                seen("learning rate the optimizer was made with", ", ".join(map(str, begin))),
            ],
            help="call `scheduler.step()` after the optimizer's steps of the period",
            event=early.index,
        )

    def _groups(self, optimizer: int):
        return self.roster.optimizers[optimizer].groups if optimizer >= 0 else ()
