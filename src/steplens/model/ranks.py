"""Ranks: which of several processes of one training a report is about."""

import msgspec


class Ranks(msgspec.Struct, frozen=True):
    """The place of a process among those that train together.

    ``rank`` is -1 and ``world`` 0 for a program of one process. ``launch`` is the same for all
    processes that one launcher started on this machine, '' where no launcher is known.
    """

    rank: int = -1
    world: int = 0
    launch: str = ""

    @property
    def several(self) -> bool:
        """Whether there are other ranks."""
        return self.world > 1
