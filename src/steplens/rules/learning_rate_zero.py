"""SL306: steps that did nothing, as the learning rate was zero, or that went up, as it was less."""

import math

from steplens.model.event import End, Load, Schedule, Step, Vain
from steplens.model.finding import Severity
from steplens.model.roster import Roster
from steplens.rules import flatline
from steplens.rules.base import Cases, rule
from steplens.rules.rates import Beside, Rates
from steplens.rules.squared import Squared

FAINT = 1e-6  # of the largest rate the optimizer stepped with: nothing moves any more
DECAYED = 1e-3  # of the largest rate: from further up it is switched off, not driven down
SHARE = 20  # zero steps count from one in so many on
WARM_UP = 3  # steps, or steps of the scheduler, at zero from the beginning


@rule("SL306", "learning-rate-zero", "warning", needs=("step",))
class LearningRateZero:
    """Steps at a learning rate of zero, or of next to nothing.

    ## What it does
    Reports steps whose learning rate is 0 in all groups: from the beginning on, past the first
    steps of a warm-up (a schedule that stands at 0 for three of its own steps and then jumps to its
    full rate is none); or after the optimizer had stepped with another rate, once these steps are
    a twentieth of all. Steps at less than a millionth of the largest rate, to which a scheduler
    has driven it, or by and by the one line that sets it by hand, are reported once they are a
    third of all; two at a rate below 0, to which a scheduler has, at once. Reports, at the end, a
    `LambdaLR` whose function gave the optimizer's rate at its largest, and no more: the factor is
    the rate, and the steps had its square.

    ## Why is this bad?
    The program runs on and nothing changes: a schedule that has ended early, or that steps with
    every batch where it was laid out for epochs, leaves the rest of the run without effect. Below
    0, as a straight line comes to be, each step goes up the loss.

    ## Example
        for x, y in batches:
            train_step(x, y)
            scheduler.step()  # StepLR(optimizer, step_size=5), meant for epochs

    ## Use instead
        for x, y in batches:
            train_step(x, y)
        scheduler.step()

    ## When it is fine
    A warm-up that begins at 0, the valleys of a cycle, groups at 0 beside live ones, the last step
    or two of a schedule that ends at 0, and optimizers without a learning rate are not reported.
    Nor is one that is at 0 from its first step on and whose line makes others with a rate (rates
    tried in turn, with 0 to compare with). One beside which another steps with a rate on the same
    backward passes may be frozen so: a note.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.loads: dict[int, Load] = {}  # optimizer -> what brought it the rates of a saved one
        self.rates: dict[int, Rates] = {}
        self.schedules: dict[int, Schedule] = {}  # optimizer -> its scheduler's last step
        self.beside = Beside(roster)
        self.by_hand: dict[int, Vain] = {}  # optimizer -> the line that brings its rate down
        self.squared = Squared(roster, cases)

    def load(self, event: Load) -> None:
        if event.what == "optimizer":
            self.loads[event.owner] = event

    def schedule(self, event: Schedule) -> None:
        self.schedules[event.optimizer] = event
        self.squared.schedule(event)

    def vain(self, event: Vain) -> None:
        if event.what == "faint":
            self.by_hand[event.optimizer] = event

    def step(self, event: Step) -> None:
        if event.skipped or not event.lrs:
            return
        self.squared.step(event)
        rates = self.rates.get(event.optimizer)
        if rates is None:
            rates = self.rates[event.optimizer] = Rates()
        top = max(event.lrs)
        if math.isnan(top):
            return
        for optimizer in self.beside.step(event, top):
            if optimizer in self.rates and not self.rates[optimizer].peak:
                self._meant(optimizer)
        if top > FAINT * rates.peak:
            if rates.faint or not rates.peak:
                self._rises(event.optimizer, rates, top)
            elif 0 < rates.jump < top:  # it goes on rising: a warm-up that waited
                self.cases.withdraw(event.optimizer)
                rates.jump = 0.0
            rates.peak, rates.low = max(rates.peak, top), top
            rates.live += self.cases.weight
            rates.valley = max(rates.valley, rates.faint if rates.live > self.cases.weight else 0)
            rates.dead = rates.faint = rates.below = 0
            return
        if not rates.faint:
            rates.first = event.step + 1
        rates.dead += self.cases.weight * (top == 0)
        rates.faint += self.cases.weight
        rates.below += self.cases.weight * (top < -FAINT * rates.peak)
        if self._ends(event.optimizer, rates) and not self.cases.again(
            event.optimizer, event.step + 1
        ):
            self._open(event, rates)

    def _meant(self, optimizer: int) -> None:
        """It may be at 0 on purpose."""
        if optimizer in self.beside.tried:
            self.cases.withdraw(optimizer)
        elif optimizer in self.cases.findings:
            self.cases.amend(optimizer, severity=Severity("note"))

    def _rises(self, optimizer: int, rates: Rates, top: float) -> None:
        """It was a warm-up, or a valley of a cycle; but a schedule that stands at 0 for several of
        its steps and then jumps to its full rate was no warm-up."""
        if rates.peak or optimizer not in self.schedules or optimizer not in self.cases.findings:
            self.cases.withdraw(optimizer)
            return
        rates.jump = top
        message = f"the first {rates.dead} steps had a learning rate of 0: nothing was learnt"
        self.cases.amend(optimizer, message=message, count=rates.dead)

    def _ends(self, optimizer: int, rates: Rates) -> bool:
        if not rates.peak:
            groups = self.roster.optimizers[optimizer].groups
            if optimizer in self.beside.tried or (groups and "lr" not in groups[0]):
                return False
            schedule = self.schedules.get(optimizer)
            scheduled = any(s.optimizer == optimizer for s in self.roster.schedulers.values())
            steps = (schedule.count if schedule else 0) if scheduled else rates.dead
            return rates.dead >= WARM_UP and steps >= WARM_UP
        if rates.faint <= rates.valley:
            return False  # it has stood there as long before, and gone on
        if rates.dead >= 2 and rates.dead * SHARE >= rates.live + rates.dead:
            return True
        if optimizer not in self.schedules:
            decayed = optimizer in self.by_hand and rates.low < DECAYED * rates.peak
            return decayed and rates.faint >= max(10, rates.live / 2)
        return rates.below >= 2 or rates.faint >= max(10, rates.live / 2)

    def _open(self, event: Step, rates: Rates) -> None:
        schedule = self.schedules.get(event.optimizer)
        load = self.loads.get(event.optimizer) if schedule is None else None
        hand = self.by_hand.get(event.optimizer) if not (schedule or load) else None
        meant = event.optimizer in self.beside.frozen and not rates.peak
        flatline.tell(self.roster, self.cases, event, rates, (schedule, load, hand), meant)

    def end(self, event: End) -> None:
        """A finding counts the steps up to the end of the run."""
        self.squared.end()
        for optimizer, rates in self.rates.items():
            found = self.cases.findings.get(optimizer)
            if found is not None:
                count = max(rates.faint, found.count)
                self.cases.amend(optimizer, count=count)
