"""SL321: groups that were given rates of their own, and a schedule that gives all of them one."""

from steplens.model.event import Made, Step
from steplens.model.roster import Roster, SchedulerEntry
from steplens.rules.base import Cases, because, number, rule, seen

APART = 2  # times the lowest rate of the groups, the highest
ONE = 1e-6  # of a rate: what two that are one may differ by


@rule("SL321", "group-rates-levelled", "warning", needs=("schedule", "step"))
class GroupRatesLevelled:
    """Groups of an optimizer with rates of their own, all of which a schedule sets to one.

    ## What it does
    Reports a `OneCycleLR` or `CyclicLR` that is given one number for all groups of an optimizer,
    which were made with rates that lie apart by a factor of two or more, and the first step then
    has one rate for all of them.

    ## Why is this bad?
    These two set the rate of each group, and do not multiply it: what the groups were made with is
    gone. A pretrained backbone that was to move slowly is trained with the rate of its new head.

    ## Example
        optimizer = AdamW([{"params": backbone, "lr": 1e-5}, {"params": head, "lr": 1e-2}])
        scheduler = OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)

    ## Use instead
        optimizer = AdamW([{"params": backbone, "lr": 1e-5}, {"params": head, "lr": 1e-2}])
        scheduler = OneCycleLR(optimizer, max_lr=[1e-5, 1e-2], total_steps=steps)

    ## When it is fine
    Lists with a rate for each group, groups with one rate (that differ in weight decay, say),
    schedules that multiply each group's rate, optimizers that have stepped with their rates before,
    or that had another schedule: theirs is a new phase.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.stepped: set[int] = set()
        self.waiting: dict[int, SchedulerEntry] = {}  # optimizer -> what took its groups' rates

    def made(self, event: Made) -> None:
        if event.what != "scheduler":
            self.stepped.discard(event.number)
            return
        entry = self.roster.schedulers[event.number]
        rates = entry.levelled
        if entry.optimizer in self.stepped or not rates or min(rates) <= 0:
            return
        if max(rates) >= APART * min(rates):
            self.waiting[entry.optimizer] = entry

    def step(self, event: Step) -> None:
        self.stepped.add(event.optimizer)
        entry = self.waiting.pop(event.optimizer, None)
        if entry is None or len(event.lrs) != len(entry.levelled):
            return
        low, high = min(event.lrs), max(event.lrs)
        if low <= 0 or high - low > ONE * high or self.cases.again(entry.site, event.step + 1):
            return
        names = ", ".join(map(number, entry.levelled[:8]))
        parameter = "max_lr" if entry.type == "OneCycleLR" else "base_lr` and `max_lr"
        self.cases.open(
            entry.site,
            event.step + 1,
            entry.site,
            f"`{entry.type}` gives all {len(entry.levelled)} groups one rate: they were made with "
            f"rates from {number(min(entry.levelled))} to {number(max(entry.levelled))}",
            label="given one number for all groups",
            because=because(
                "the groups were made here", self.roster.optimizers[event.optimizer].site
            ),
            evidence=(
                seen("rates of the groups before", names),
                seen("rate of all at the first step", high),
            ),
            help=f"give `{parameter}` as a list: a rate for each group",
            event=event.index,
        )
