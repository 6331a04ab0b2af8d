"""SL307: a scheduler was made and never stepped."""

from steplens.model.event import Batch, End, Schedule, Step, Vain
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, number, rule, seen

LOADERS = 256  # those used last are remembered
PASSES = 2  # of a DataLoader, with steps in each
STEPS = 50  # of the optimizer, in a finished run without a DataLoader


@rule("SL307", "scheduler-never-stepped", "warning", needs=("made", "step"))
class SchedulerNeverStepped:
    """A scheduler that never stepped, though its optimizer did for several epochs.

    ## What it does
    Reports a scheduler whose optimizer has stepped in two full passes of a DataLoader, or, in a
    program without one, fifty times by the end of the run, while the scheduler itself was never
    stepped. Reports, too, a learning rate that the program's code sets where no step reads it:
    as an attribute of one of torch's own optimizers (`optimizer.lr = 0.01`), or in its `defaults`.

    ## Why is this bad?
    The learning rate stays what it was at the beginning. Nothing fails: the schedule is made, looks
    used, and does nothing.

    ## Example
        scheduler = CosineAnnealingLR(optimizer, T_max=epochs)
        for epoch in range(epochs):
            train(model, optimizer)

    ## Use instead
        scheduler = CosineAnnealingLR(optimizer, T_max=epochs)
        for epoch in range(epochs):
            train(model, optimizer)
            scheduler.step()

    ## When it is fine
    Schedulers inside of another (`SequentialLR`, `ChainedScheduler`), one that steps late in the
    run, interrupted runs and short ones are not reported. Nor is one for which the running code has
    a call of `step` that was not reached, as after a warm-up of ten epochs.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.stepped: set[int] = set()
        self.steps: dict[int, Step] = {}  # optimizer -> its last step
        self.counts: dict[int, int] = {}
        self.ran: set[tuple[str, int, int]] = set()  # lines that stepped something
        self.begun = Newest[int, tuple[int, int]](LOADERS)  # loader -> (step at its pass, passes)
        self.loaders = False
        self.passes = 0

    def schedule(self, event: Schedule) -> None:
        self._reached(event.site)
        if event.scheduler not in self.stepped:
            self.stepped.add(event.scheduler)
            self.cases.withdraw(event.scheduler)

    def _reached(self, site: Site | None) -> None:
        if site is not None:
            self.ran.add((site.file, site.cell, site.line))

    def step(self, event: Step) -> None:
        self._reached(event.site)
        self.steps[event.optimizer] = event
        self.counts[event.optimizer] = self.counts.get(event.optimizer, 0) + self.cases.weight

    def vain(self, event: Vain) -> None:
        if event.what != "rate" or self.cases.again(("rate", event.optimizer), event.step):
            return
        entry = self.roster.optimizers[event.optimizer]
        last = self.steps.get(event.optimizer)
        self.cases.open(
            ("rate", event.optimizer),
            event.step,
            event.site or entry.site,
            f"`{entry.label or 'optimizer'}{event.name}` is set to {number(event.value or 0.0)}, "
            "and no step reads it",
            label="sets a rate that no step reads" if event.site else "the optimizer was made here",
            because=because("the optimizer steps here", last.site if last else None),
            evidence=[
                seen("learning rate of its steps", last.lrs[0], event.value)
                if last is not None and last.lrs
                else seen("rate set", event.value or 0.0)
            ],
            help='set it in each group: `for group in optimizer.param_groups: group["lr"] = rate`',
            event=event.index,
        )

    def batch(self, event: Batch) -> None:
        if event.form != "epoch":
            return
        self.loaders = True
        step, passes = self.begun.get(event.loader, (event.step, 0))
        passes += event.step > step
        self.begun.pop(event.loader, None)
        self.begun[event.loader] = (event.step, passes)
        if passes > self.passes:
            self.passes = passes
            if passes >= PASSES:
                self._look(event.step)

    def end(self, event: End) -> None:
        if event.status == "done":
            self._look(event.step)

    def _look(self, step: int) -> None:
        """Open a case for each scheduler that had time to step and did not."""
        for scheduler, entry in self.roster.schedulers.items():
            if scheduler in self.stepped or entry.parent >= 0:
                continue
            count = self.counts.get(entry.optimizer, 0)
            enough = self.passes >= PASSES if self.loaders else count >= STEPS
            if not enough or count < PASSES or scheduler in self.cases.findings:
                continue
            if any((at.file, at.cell, at.line) not in self.ran for at in entry.calls):
                continue
            last = self.steps[entry.optimizer]
            passes = (
                [seen("passes of a DataLoader with steps", self.passes)] if self.loaders else []
            )
            self.cases.open(
                scheduler,
                step,
                entry.site,
                f"`{entry.type}` was never stepped, and its optimizer stepped {count} times",
                label="made here and never stepped",
                because=because("the optimizer steps here", last.site),
                evidence=[
                    seen("steps of the scheduler", 0),
                    seen("steps of its optimizer", count),
                    *passes,
                ],
                help="call `scheduler.step()` once for each epoch (or batch, as it was laid out), "
                "after the optimizer's steps",
                event=last.index,
            )
