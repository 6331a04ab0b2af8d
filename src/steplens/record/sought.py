"""Sought: what is looked for in the first graphs of a run."""

from steplens.model.site import Site

READINGS = 4  # graphs looked at


class Sought:
    """How many graphs are still to be looked at, and the lines that were told."""

    def __init__(self) -> None:
        self.left = READINGS
        self.told: set[Site] = set()
