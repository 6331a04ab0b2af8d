"""SL308: a schedule is stepped per batch where it counts epochs, or the other way round."""

from steplens.model.event import Batch, End, Forward, Made, Schedule, Step
from steplens.model.finding import Evidence
from steplens.model.roster import Roster, SchedulerEntry
from steplens.rules import milestones
from steplens.rules.base import Cases, because, number, rule, seen
from steplens.rules.doubled import Doubled
from steplens.rules.early_falls import EarlyFalls
from steplens.rules.laid_out import LaidOut
from steplens.rules.overridden import Overridden
from steplens.rules.remade import Remade
from steplens.rules.stretched import Stretched
from steplens.rules.sunk import Sunk

PAST = 2  # lengths gone through, where a pass of the data tells that they are no cycles
CYCLES = 4  # lengths gone through, where nothing does
FALLS = 2  # times that what was given as the epoch went down
UNDER = 10  # a run that ends having gone through less than one part in so many


@rule("SL308", "scheduler-out-of-cadence", "warning", needs=("schedule",))
class SchedulerOutOfCadence:
    """A schedule with a length, stepped in another unit than the one it was laid out in.

    ## What it does
    Reports a `CosineAnnealingLR`, a `SequentialLR` that ends with one, or a `LinearLR` that falls,
    that is stepped with every optimizer step and has gone through its length twice (four times
    where no DataLoader tells how long a pass is); any with a length of which a run that ended by
    itself has gone through less than a tenth, although the optimizer made half as many steps as it
    is long, or the run read as many samples in several batches; one as long as the run has backward
    passes, several of which were added up for each step, or as long as it has steps, while it was
    stepped with each pass, or with each pass of a DataLoader; one that is given a loss for the
    number of an epoch, which fell twice; a `LambdaLR` whose function is made with the number of
    steps that the run took, but was given a quarter of them at most, and whose rate never came
    down; one that is stepped with every batch and has brought the rate down to a hundredth within
    the first of four passes or more; a `ReduceLROnPlateau` that is given the loss of each batch and
    has brought the rate to a thousandth in that time, with a patience below a tenth of a pass, and
    a model that has hardly learned; one that two lines step in a row, three times, with no
    optimizer step between; the second of two alike on one optimizer, while another has none; one
    that sets a rate back which a plateau has just lowered; or that is made anew, twice, before a
    step has used its last rate.

    ## Why is this bad?
    A cosine laid out for epochs and stepped with batches goes up again after the first epochs, and
    swings to the end. One laid out for batches and stepped with epochs never leaves its beginning:
    a `OneCycleLR` stays in its warm-up.

    ## Example
        scheduler = OneCycleLR(optimizer, 0.1, total_steps=epochs * len(loader))
        for epoch in range(epochs):
            train(model, optimizer, loader)
            scheduler.step()

    ## Use instead
        for epoch in range(epochs):
            for batch in loader:
                train_step(model, optimizer, batch)
                scheduler.step()

    ## When it is fine
    A cosine used as a cycle (its length is a number of whole passes, or it is stepped with epochs),
    a linear warm-up that stays at its end, runs that were interrupted or cut short (the length is
    not about as many steps as the run made, and not one pass; a note where it is of whole passes),
    and schedules inside of another are not reported; nor is a plateau whose patience is no small
    part of a pass, or whose loss has come down to half of the first by then. `StepLR` and
    `MultiStepLR` have no length: a note where the run is ten times too short for their first change
    in their own steps, and not in batches.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.steps: dict[int, int] = {}  # optimizer -> its steps
        self.last: dict[int, Schedule] = {}
        self.given: dict[int, tuple[float, int]] = {}  # scheduler -> newest epoch given, its falls
        self.batches: set[int] = set()  # batches in a pass of a DataLoader
        self.samples: dict[int, int] = {}  # dataset -> samples in all passes over it so far
        self.doubled = Doubled(roster, cases)
        self.overridden = Overridden(roster, cases)
        self.remade = Remade(roster, cases)
        self.stretched = Stretched()
        self.laid_out = LaidOut(cases)
        self.early = EarlyFalls(cases, self.laid_out.rates)
        self.sunk = Sunk(cases, self.laid_out.rates)

    def step(self, event: Step) -> None:
        self.steps[event.optimizer] = self.steps.get(event.optimizer, 0) + self.cases.weight
        self.overridden.step(event)
        self.remade.step(event)
        self.stretched.step(event, self.cases.weight)

    def made(self, event: Made) -> None:
        self.remade.made(event)

    def batch(self, event: Batch) -> None:
        if event.form == "epoch" and event.batches > 0:
            self.batches.add(event.batches)
            if event.samples > event.batches and event.data >= 0:
                read = self.samples.get(event.data, 0) + event.samples * self.cases.weight
                self.samples[event.data] = read

    def forward(self, event: Forward) -> None:
        self.sunk.forward(event)

    def schedule(self, event: Schedule) -> None:
        self.last[event.scheduler] = event
        self.overridden.schedule(event)
        self.remade.schedule(event)
        self.doubled.schedule(event, self.steps)
        self.laid_out.schedule(event)
        entry = self.roster.schedulers[event.scheduler]
        if event.epoch is not None:
            self._given(event, entry, event.epoch)
        if not entry.length or event.count < PAST * entry.length or not milestones.swings(entry):
            return
        steps = self.steps.get(event.optimizer, 0)
        latest = steps + self.cases.weight - 1  # of a repeated round, which may still be to come
        if event.count < 0.9 * steps or latest < 0.9 * event.count or event.given:
            return  # not stepped with every optimizer step
        if self.batches:
            if any(entry.length % batches == 0 for batches in self.batches):
                return
        elif event.count < CYCLES * entry.length:
            return
        self._open(event, entry, steps, "far past its length", "laid out for fewer steps")

    def _given(self, event: Schedule, entry: SchedulerEntry, epoch: float) -> None:
        """An epoch was given; one that is no whole number and goes down is none."""
        before, falls = self.given.get(event.scheduler, (epoch, 0))
        falls = -1 if falls < 0 or epoch.is_integer() else falls + (epoch < before)
        self.given[event.scheduler] = epoch, falls
        cause = (event.site, entry.site)
        if falls < FALLS or entry.parent >= 0 or self.cases.again(cause, event.step):
            return
        self.cases.open(
            cause,
            event.step,
            event.site,
            f"`{entry.type}` takes an epoch, and was given {number(epoch)} after {number(before)}",
            label="this counts as the number of the epoch",
            because=because("made here", entry.site),
            evidence=[seen("epoch", epoch, event.count)],
            help="call `step()` without an argument: only `ReduceLROnPlateau` takes the loss",
            event=event.index,
        )

    def end(self, event: End) -> None:
        for scheduler, last in self.last.items() if event.status == "done" else ():
            entry = self.roster.schedulers[scheduler]
            steps = self.steps.get(entry.optimizer, 0)
            if entry.parent < 0 and self.stretched.seldom(last, entry, steps, self.batches):
                label = "laid out for each step, stepped with each pass of the data"
                self._open(last, entry, steps, "a part of its length", label)
            elif entry.parent < 0 and last.count * UNDER < entry.length:
                if steps * 2 >= entry.length and steps >= last.count * UNDER:
                    label = "stepped too seldom"
                    sure = self._anew(entry) or self.stretched.in_steps(
                        entry.length, steps, self.batches
                    )
                    if sure is not False:
                        self._open(last, entry, steps, "a small part of its length", label, sure)
                elif entry.length in self.samples.values() and last.count * 2 > steps:
                    label = "laid out for each sample, stepped with each batch"
                    self._open(last, entry, steps, "a small part of its length", label)
            elif entry.parent < 0 and self.stretched.tells(last, entry, steps, self.batches):
                label = "laid out for each backward pass, stepped with each step"
                self._open(last, entry, steps, "a part of its length", label)
            elif milestones.swings(entry) and self.stretched.hurried(last, entry, steps):
                label = "laid out for each step, stepped with each backward pass"
                self._open(last, entry, steps, "far past its length", label)
            milestones.tell(self.cases, last, entry, steps)
            self.laid_out.tell(last, entry, steps)
            self.early.tell(last, entry, steps, self.batches)
            self.sunk.tell(last, entry, steps, self.batches)

    def _anew(self, entry: SchedulerEntry) -> bool:
        """Whether this line has made several schedules of one optimizer: one in each epoch."""
        made = (e for e in self.roster.schedulers.values() if e.site == entry.site)
        return sum(e.optimizer == entry.optimizer for e in made) > 1

    def _passes(self) -> list[Evidence]:
        """How many batches the passes of each DataLoader had."""
        counts = ", ".join(map(str, sorted(self.batches)))
        return [seen("batches in a pass of the data", counts)] if counts else []

    def _open(
        self,
        event: Schedule,
        entry: SchedulerEntry,
        steps: int,
        words: str,
        label: str,
        sure: bool | None = True,
    ) -> None:
        cause = (event.site, entry.site)  # schedulers made at one line, and stepped at one
        if self.cases.again(cause, event.step):
            return
        self.cases.open(
            cause,
            event.step,
            event.site,
            f"`{entry.type}` has gone through {words}: {event.count} steps of {entry.length}",
            label=label,
            because=because("laid out here", entry.site),
            evidence=[
                seen("steps of the schedule", event.count, f"{entry.length}, its length"),
                seen("steps of the optimizer", steps),
                *self.stretched.evidence(entry, steps),
                *self._passes(),
                *[seen("samples read", n) for n in self.samples.values() if n == entry.length],
            ],
            help="step the schedule in the unit that its length counts: with every batch, or with "
            "every epoch",
            severity=None if sure else "note",
            event=event.index,
        )
