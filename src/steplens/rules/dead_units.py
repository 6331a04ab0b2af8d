"""SL604: most units of an activation had no slope for anything they were shown."""

from steplens.model.event import Units, Values
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, rule, seen

LOOKS = 10
SHARE = 0.8  # of the layer
FLAT = 0.9  # of the outputs of a tanh or sigmoid
LEAST = 8  # units a layer must have


@rule("SL604", "dead-units", "warning", needs=("values",))
class DeadUnits:
    """A ReLU of which most units gave 0 for every sample, or a tanh that has no slope anywhere.

    ## What it does
    Reads the output of each ReLU that follows a linear or convolutional layer in the loss graph.
    Reports a layer of eight or more units of which at least 80 % gave exactly 0 for every sample
    (and position) of every batch at the latest eight looks, once there were ten; and one before a
    tanh or sigmoid of whose outputs 90 % lay where its slope is below 1e-7, at every look from the
    first one on.

    ## Why is this bad?
    Where a ReLU gives 0 its gradient is 0, so a unit that is 0 for all inputs never changes again:
    the layer is that much smaller than it says. A large negative bias, or one step at too high a
    learning rate, does it. A tanh of values beyond 9 is 1 with a slope of 0: inputs that were never
    scaled, or initial weights that are too large, keep a layer there.

    ## Example
        nn.init.constant_(layer.bias, -10.0)

    ## Use instead
        nn.init.zeros_(layer.bias)

    ## When it is fine
    Layers of which some units are off are normal and not reported; layers of fewer than eight units
    neither. Looks are taken at the first ten steps and then on a cadence that keeps the budget; the
    finding is taken back when units come to life. Sums of branches before the ReLU are not looked
    at.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases

    def values(self, event: Values) -> None:
        for units in event.units:
            if units.looks < LOOKS or units.units < LEAST:
                continue
            if units.dead < (FLAT if units.kind else SHARE) * units.units:
                self.cases.withdraw(units.tensor)
            elif not self.cases.again(units.tensor, event.step):
                self.tell(event, units)

    def tell(self, event: Values, units: Units) -> None:
        name = named(self.roster, (units.tensor,))
        if units.kind:
            self._flat(event, units, name)
            return
        self.cases.open(
            units.tensor,
            event.step,
            units.site or event.site,
            f"{units.dead} of {units.units} units behind {name} gave 0 for all {units.samples} "
            "samples of the latest looks",
            label="these units were 0 each time",
            because=because("the layer was made here", self._made(units)),
            evidence=(
                seen("units at 0", f"{units.dead} of {units.units}"),
                seen("samples", f"{units.samples} at the latest of {units.looks} looks"),
            ),
            help="look at the initialisation of the layer and at the learning rate, or use an "
            "activation with a slope below 0",
            event=event.index,
        )

    def _flat(self, event: Values, units: Units, name: str) -> None:
        """The activation was saturated from the first look on."""
        self.cases.open(
            units.tensor,
            event.step,
            units.site or event.site,
            f"`{units.kind}` behind {name} was saturated at all {units.looks} looks: what it is "
            "given lies where it has no slope",
            label="nothing below this gets a gradient to speak of",
            because=because("the layer was made here", self._made(units)),
            evidence=(
                seen("part of the outputs with no slope, at least", units.dead / units.units),
                seen("looks", units.looks),
            ),
            help="scale the inputs of the model, or make the initial weights smaller",
            event=event.index,
        )

    def _made(self, units: Units) -> Site | None:
        module = self.roster.tensors[units.tensor].module
        return self.roster.modules[module].site if module >= 0 else None
