"""SL318: a state restored into an optimizer that is made anew before it steps."""

from steplens.model.event import Load, Made, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, rule, seen

STEPS = 2  # of the other optimizer
KEPT = 64  # optimizers


@rule("SL318", "restored-in-vain", "warning", needs=("load", "step"))
class RestoredInVain:
    """A state restored into an optimizer that is made anew before it steps.

    ## What it does
    Reports a `load_state_dict` of an optimizer that makes no step, before or after, while
    another one of its class, made after the load and holding all of its parameters, into which
    nothing was loaded, makes two.

    ## Why is this bad?
    The moments, the counts of steps and the learning rate that were restored stay in an object that
    nobody uses. Training goes on from the restored weights with fresh moments at the first learning
    rate: its first steps are large ones, and nothing says so.

    ## Example
        trainer.optimizer.load_state_dict(checkpoint["optimizer"])
        trainer.set_parameters(model.parameters())  # makes the optimizer anew

    ## Use instead
        trainer.set_parameters(model.parameters())
        trainer.optimizer.load_state_dict(checkpoint["optimizer"])

    ## When it is fine
    An optimizer of another class or of some of the parameters only (a new phase of training), and
    one that has made a step: the best state is put back before a new phase begins.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.loads = Newest[int, Load](KEPT)  # optimizer -> its load, until it steps
        self.begun = Newest[int, int](KEPT)  # optimizer -> the event at which it was made
        self.steps = Newest[int, int](KEPT)  # of those made after a load
        self.used = Newest[int, bool](KEPT)  # optimizers that have stepped

    def made(self, event: Made) -> None:
        if event.what == "optimizer":
            self.loads.pop(event.number, None)
            self.used.pop(event.number, None)
            self.begun[event.number] = event.index
            self.steps[event.number] = 0

    def load(self, event: Load) -> None:
        if event.what == "optimizer" and event.owner not in self.used:
            self.loads[event.owner] = event

    def step(self, event: Step) -> None:
        number = event.optimizer
        if event.skipped:
            return
        self.used[number] = True
        if not self.loads:
            return
        if self.loads.pop(number, None) is not None:
            self.begun.pop(number, None)  # it goes on with what was restored
        begun = self.begun.get(number)
        if begun is None:
            return
        count = self.steps[number] = self.steps.get(number, 0) + self.cases.weight
        for owner, load in list(self.loads.items()) if count >= STEPS else ():
            if load.index < begun and self._replaced(owner, number):
                del self.loads[owner]
                self._open(load, owner, event)

    def _replaced(self, old: int, new: int) -> bool:
        """Whether the one optimizer was made anew as the other."""
        optimizers = self.roster.optimizers
        held = {*optimizers[old].tensors}
        alike = optimizers[old].type == optimizers[new].type
        return alike and bool(held) and held <= {*optimizers[new].tensors}

    def _open(self, load: Load, owner: int, step: Step) -> None:
        if self.cases.again(load.site, step.step + 1):
            return
        optimizers = self.roster.optimizers
        entry, tensors = optimizers[step.optimizer], optimizers[owner].tensors
        self.cases.open(
            load.site,
            step.step + 1,
            load.site,
            f"the state was loaded into an `{entry.type}` that makes no step: another one moves "
            "its parameters",
            label="nobody uses what was restored here",
            because=(
                *because("the one that steps was made here", entry.site),
                *because("it steps here, with fresh state", step.site),
            ),
            evidence=(
                seen("steps of the optimizer since its state was loaded", 0),
                seen("parameters moved by the other", named(self.roster, tensors)),
            ),
            help="load the state after the last time that the optimizer is made",
            event=load.index,
        )
