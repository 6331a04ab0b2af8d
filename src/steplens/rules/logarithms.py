"""Logarithms: whether something on the way to a loss took a logarithm of what a layer gave."""

from steplens.model.graph import GraphReading
from steplens.rules.chains import KEEPING, LOGS, MIXING, below, stem

LOG_SUM_EXP = ("Log", "Sum", "Exp")


def logarithm(reading: GraphReading, loss: int) -> bool:
    """Whether a logarithm, or something that cannot be seen into, lies between the last layer and
    the loss, or the loss adds a ``logsumexp``."""
    for place in below(reading, loss, lambda name: name in MIXING):
        name = stem(reading.ops[place])
        if not name or name in LOGS:
            return True
    return any(
        stem(reading.ops[place]) in ("Logsumexp", "") or _by_hand(reading, place)
        for place in below(reading, 0, lambda name: name in MIXING)
    )


def _by_hand(reading: GraphReading, place: int) -> bool:
    """Whether an op is the logarithm of a sum of exponentials."""
    names: list[str] = []
    while place >= 0 and len(names) < len(LOG_SUM_EXP):
        name = stem(reading.ops[place])
        if name not in KEEPING and name not in ("Add", "Clamp", "ClampMin"):
            names.append(name)
        place = reading.ops[place].inputs[0] if reading.ops[place].inputs else -1
    return tuple(names) == LOG_SUM_EXP
