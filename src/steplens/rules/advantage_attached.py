"""SL523: an advantage that weights log-probabilities with its own gradient."""

from steplens.model.event import Backward
from steplens.model.graph import GraphReading
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.chains import JOINING, KEEPING, LOGS, Lines, below, stem, users

ALONG = KEEPING | {"Neg", "Sum", "Mean", "Mul", "Div"}  # by numbers: what a log-probability passes
RATIO = frozenset(("Exp", "Clamp", "Minimum"))  # of a new to an old probability, in PPO
PICKING = frozenset(("Gather", "Index", "TakeAlongDim"))
SQUARES = frozenset(("Pow", "MseLoss", "SmoothL1Loss", "HuberLoss", "Abs", "L1Loss"))
ARITHMETIC = KEEPING | JOINING | {"Add", "Sub", "Mul", "Div", "Neg"}


@rule("SL523", "advantage-attached", "warning", needs=("backward",))
class AdvantageAttached:
    """An advantage that weights log-probabilities, and takes a gradient of it to the critic.

    ## What it does
    Reports a product of the log-probability of an action (or the ratio of two) and a difference
    `returns - values` when the values carry a gradient there and have a loss of their own, a square
    of the same difference or an `mse_loss`, in the same graph.

    ## Why is this bad?
    The advantage is the weight of a sample: a number. With its gradient, the policy's loss trains
    the critic as well, to give values that make unlikely actions look bad, which has nothing to do
    with the return. The values are biased, and by them the policy.

    ## Example
        advantage = returns - values
        loss = -(log_probs * advantage).mean() + advantage.pow(2).mean()

    ## Use instead
        advantage = returns - values
        loss = -(log_probs * advantage.detach()).mean() + advantage.pow(2).mean()

    ## When it is fine
    An advantage that is detached or made in `no_grad`; a probability instead of its logarithm, as
    in a discrete soft actor-critic; a difference without a loss of its own.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.lines = Lines()

    def backward(self, event: Backward) -> None:
        reading = event.graph
        if reading is None or not any(stem(op) in SQUARES for op in reading.ops):
            return
        above: dict[int, list[int]] | None = None
        for place, op in enumerate(reading.ops):
            if stem(op) != "Mul" or len(op.inputs) != 2 or min(op.inputs) < 0:
                continue
            for score, weight in (op.inputs, op.inputs[::-1]):
                values = _values(reading, weight)
                if not values or not _log_probability(reading, score, values):
                    continue
                above = above if above is not None else users(reading)
                for value in values:
                    loss = _own_loss(reading, above, value)
                    if loss >= 0:
                        self._found(event, reading, place, value, loss)

    def _found(
        self, event: Backward, reading: GraphReading, place: int, value: int, loss: int
    ) -> None:
        op, other = reading.ops[place], reading.ops[loss].site
        at = self.lines.of(op, event.site)
        if self.cases.again(at, event.step + 1):
            return
        made = below(reading, value, lambda _: False)
        reached = sorted({leaf for each in made for leaf in reading.ops[each].leaves})
        self.cases.open(
            at,
            event.step + 1,
            at,
            "the advantage weights log-probabilities with a gradient of its own: this loss of the "
            "policy trains the critic, too",
            label="the advantage is not detached here",
            because=because("the critic's own loss", other if other != at else None),
            evidence=(seen("the weight's gradient goes to", named(self.roster, reached)),),
            help="detach it where it weights: `log_probs * advantage.detach()`",
            event=event.index,
            tensors=reached,
        )


def _values(reading: GraphReading, weight: int) -> set[int]:
    """The ops that made what a weight has taken away from something: the values of an advantage."""
    made = {
        _source(reading, reading.ops[place].inputs[1])
        for place in below(reading, weight, lambda name: name not in ARITHMETIC)
        if stem(reading.ops[place]) == "Sub" and len(reading.ops[place].inputs) == 2
    }
    return made - {-1}


def _source(reading: GraphReading, place: int) -> int:
    """The op whose values these are, in another shape perhaps."""
    while place >= 0 and stem(reading.ops[place]) in KEEPING and reading.ops[place].inputs:
        place = reading.ops[place].inputs[0]
    return place


def _log_probability(reading: GraphReading, start: int, values: set[int]) -> bool:
    """Whether these are log-probabilities of what was picked or drawn, or ratios to older ones, and
    no values of the critic's among them."""
    stop = ALONG | RATIO | JOINING
    found = False
    for place in below(reading, start, lambda name: name not in stop and name != "Sub"):
        name = stem(reading.ops[place])
        if place in values:
            return False
        found = found or (name in PICKING and _logarithms(reading, place))
        found = found or (name == "Sub" and _of_a_normal(reading, place))
    return found


def _logarithms(reading: GraphReading, pick: int) -> bool:
    """Whether one of several log-probabilities was picked."""
    place = _source(reading, reading.ops[pick].inputs[0])
    op = reading.ops[place]
    if stem(op) == "Sub":  # as a `Categorical` normalises its logits
        return any(each >= 0 and stem(reading.ops[each]) == "Logsumexp" for each in op.inputs)
    return place >= 0 and stem(op) in LOGS


def _of_a_normal(reading: GraphReading, place: int) -> bool:
    """Whether a difference is ``-(x - mean) ** 2 / (2 * variance) - log(scale) - constant``."""
    names = ["Sub", "Sub", "Div", "Neg", "Pow"]
    while names and place >= 0 and stem(reading.ops[place]) == names[0]:
        place, names = reading.ops[place].inputs[0], names[1:]
    return not names


def _own_loss(reading: GraphReading, above: dict[int, list[int]], value: int) -> int:
    """The op by which the critic has a loss of its own: a square of the difference, or a loss that
    is given the values; -1 for none."""
    queue, met = [value], {value}
    for place in queue:
        for user in above.get(place, ()):
            name = stem(reading.ops[user])
            if name in SQUARES or (name == "Mul" and reading.ops[user].inputs == (place, place)):
                return user
            if user not in met and (name in KEEPING or name in JOINING or name == "Sub"):
                met.add(user)
                queue.append(user)
    return -1
