"""Cleared: contributions that were thrown away before any step had used them."""

from steplens.model.event import Clear
from steplens.model.roster import Roster
from steplens.model.site import Site


class Cleared:
    """The newest clear that threw away unused contributions to each optimizer's tensors, finite
    ones, since that optimizer's last step."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.newest: dict[int, Clear] = {}
        self.finite: dict[Site | None, bool] = {}  # the lines that clear, and what they cleared

    def clear(self, event: Clear) -> None:
        """Remember it if what it threw away was finite. Where the norm was not read it counts if
        all that were read at this line were finite."""
        unused = [share for share in event.lost if not share.holds[-1].used_by]
        if not unused:
            return
        if event.norm is None:
            self.finite[event.site] = False
            return
        if event.norm >= 0 or event.by == "hand":
            self.finite.setdefault(event.site, True)
        elif not self.finite.get(event.site):
            return
        if event.by == "optimizer":
            self.newest[event.owner] = event
            return
        tensors = {tensor for share in unused for tensor in share.tensors}
        for number, entry in self.roster.optimizers.items():
            if not tensors.isdisjoint(entry.tensors):
                self.newest[number] = event

    def step(self, optimizer: int) -> Clear | None:
        """The one before this step of the optimizer, None for none; the next step has its own."""
        return self.newest.pop(optimizer, None)
