"""Where a graph normalises logits: its cross-entropies, and softmax outputs that are normalised
again."""

from steplens.model.graph import GraphReading
from steplens.rules.chains import KEEPING, SHAPING, fed, stem, users

TARGETED = frozenset(("Sum", "Neg", "Div", "Mean", "Sub", "Mul", "Add"))
PICKING = frozenset(("Gather", "Index", "TakeAlongDim"))
RESHAPED = SHAPING | {"Squeeze", "Unsqueeze"}


def entropies(reading: GraphReading) -> list[tuple[int, int]]:
    """The cross-entropies of a graph: (op of the loss, its log-softmax)."""
    found: list[tuple[int, int]] = []
    for place, op in enumerate(reading.ops):
        if stem(op) in ("NllLoss", "NllLoss2D"):
            source = fed(reading, place, ("LogSoftmax",))
            if source >= 0:
                found.append((place, source))
    taken = {source for _, source in found}
    above: dict[int, list[int]] | None = None
    for place, op in enumerate(reading.ops):
        if stem(op) == "LogSoftmax" and place not in taken:
            above = above if above is not None else users(reading)
            loss = _weighed(reading, above, place)
            if loss >= 0:
                found.append((loss, place))
    return found


def normalised_again(reading: GraphReading) -> list[tuple[int, int]]:
    """The differences between the output of a softmax and its own ``logsumexp``: (op, softmax)."""
    found: list[tuple[int, int]] = []
    for place, op in enumerate(reading.ops):
        if stem(op) == "Sub" and len(op.inputs) == 2 and min(op.inputs) >= 0:
            less = reading.ops[op.inputs[1]]
            if stem(less) == "Logsumexp":
                squash = _or_fed(reading, op.inputs[0])
                if squash >= 0 and less.inputs and _or_fed(reading, less.inputs[0]) == squash:
                    found.append((place, squash))
    return found


def _or_fed(reading: GraphReading, place: int) -> int:
    """The softmax that made an op's output, the op itself included."""
    if stem(reading.ops[place]) == "Softmax":
        return place
    return fed(reading, place, ("Softmax",)) if stem(reading.ops[place]) in KEEPING else -1


def _weighed(reading: GraphReading, above: dict[int, list[int]], place: int) -> int:
    """The op that multiplies log-probabilities by a target, or picks them by class numbers, where
    its result is summed up to the loss; else -1."""
    for user in above.get(place, ()):
        op = reading.ops[user]
        alone = stem(op) == "Mul" and sum(source >= 0 for source in op.inputs) == 1
        if not (alone or stem(op) in PICKING) or op.leaves:
            continue
        through = TARGETED if alone else TARGETED | PICKING | RESHAPED
        first = user
        while stem(reading.ops[user]) in through:
            if user == 0:
                return first
            following = above.get(user, [])
            if len(following) != 1:
                break
            user = following[0]
    return -1
