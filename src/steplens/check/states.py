"""Snapshots on request: the training state of some models and optimizers, now."""

from typing import Any

from steplens.model.roster import Roster
from steplens.model.state import Snapshot


def snapshot(*objects: Any) -> Snapshot:
    """The state of these models and optimizers: values, gradients, buffers, modes, moments.

    ``before == after`` asks whether two have the same bits; ``before.delta(after)`` says what
    differs. Names are those within each model. Waits for the device.
    """
    from steplens.record.census import Census
    from steplens.record.places import Places
    from steplens.record.silence import SILENCE, aside
    from steplens.record.snapshot import Camera

    places = Places()
    places.libraries = ("",)  # no line is looked at: names must not depend on where this is called
    census = Census(Roster(), places)
    before, SILENCE.quiet = SILENCE.quiet, True
    try:
        with aside():
            census.meet(objects, search=False)
            return Camera(census).take()
    finally:
        SILENCE.quiet = before
