"""Picked: an NLL loss that picks the values of classes for another loss, which compares them."""

from steplens.model.graph import GraphReading
from steplens.rules.chains import LOOKED, stem, users

# what the errors of a regression and the margins of a ranking are measured by: scores that are no
# probabilities are compared with others
ERRORS = frozenset((
    "MseLoss", "SmoothL1Loss", "HuberLoss", "L1Loss", "Pow", "Abs", "Square", "Relu", "Clamp",
    "ClampMin", "Softplus", "LogSigmoid",
))  # fmt: skip


def measured(reading: GraphReading, loss: int) -> bool:
    """Whether what the NLL loss gave, one value for each sample, goes into an error of a regression
    or a margin, and nowhere else: it only picks the values that are compared."""
    if not reading.ops[loss].shape:
        return False
    takers = users(reading)
    seen, queue = {loss}, [loss]
    for place in queue:
        if place == 0 or len(seen) > LOOKED:  # the loss itself, with no error on the way
            return False
        for taker in takers.get(place, ()):
            if taker not in seen and stem(reading.ops[taker]) not in ERRORS:
                seen.add(taker)
                queue.append(taker)
    return True
