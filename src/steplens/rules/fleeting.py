"""Fleeting: optimizers made anew for each step, whose moments never live to be used, as SL304 tells
of them."""

from steplens.model.event import Made, Step
from steplens.model.roster import OptimizerEntry, Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, seen

TIMES = 8  # optimizers in a row, of one step each


class Fleeting:
    """Follows the optimizers that one line makes of the same tensors."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.newest = -1  # the optimizer made last
        self.steps = 0  # of it
        self.times = 0  # optimizers in a row that stepped once
        self.place: tuple[Site | None, tuple[int, ...]] = (None, ())

    def made(self, event: Made) -> None:
        """An optimizer was made."""
        if event.what != "optimizer":
            return
        entry = self.roster.optimizers[event.number]
        place = (entry.site, entry.tensors)
        once = self.steps == 1 and place == self.place and entry.type != "LBFGS"
        self.times = self.times + 1 if once and keeps_moments(entry) else 0
        self.newest, self.steps, self.place = event.number, 0, place

    def step(self, event: Step) -> None:
        """A step; of any other optimizer, it is another kind of program."""
        if event.optimizer != self.newest:
            self.times = 0
            return
        self.steps += self.cases.weight
        if self.steps > 1:
            self.times = 0
        if self.times < TIMES or self.cases.again(self.place, event.step + 1):
            return
        entry = self.roster.optimizers[event.optimizer]
        self.cases.open(
            self.place,
            event.step + 1,
            entry.site,
            f"`{entry.type}` is made anew for each step: its moments begin at zero each time",
            label="made here for one step",
            because=because("its only step", event.site),
            evidence=[seen("optimizers in a row, of one step each", self.times + 1, 1)],
            help="make the optimizer once, before the loop",
            severity="note",
            event=event.index,
        )


def keeps_moments(entry: OptimizerEntry) -> bool:
    """Whether an optimizer keeps state that its next step uses."""
    return entry.type != "SGD" or any(group.get("momentum") for group in entry.groups)
