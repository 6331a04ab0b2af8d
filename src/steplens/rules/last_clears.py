"""Last clears: the line that cleared an optimizer's gradients before those that were used again, or
that cleared another optimizer's in their place."""

from steplens.model.event import Clear
from steplens.model.finding import Because
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import because
from steplens.rules.trees import Trees

OWNERS = 64
LINES = 16  # of one optimizer, between two steps of another


class LastClears:
    """Which `zero_grad` ran last, for each optimizer and module."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.trees = Trees(roster)
        self.last = Newest[tuple[str, int], Clear](OWNERS)
        # optimizer -> the lines at which it was cleared since each other one's step
        self.since: dict[int, dict[int, list[Site]]] = {}

    def clear(self, event: Clear) -> None:
        if event.site is None or event.by == "hand":
            return
        self.last[event.by, event.owner] = event
        if event.by == "optimizer" and len(self.since) < OWNERS:
            for lines in self.since.values():
                sites = lines.setdefault(event.owner, [])
                if event.site not in sites and len(sites) < LINES:
                    sites.append(event.site)

    def stepped(self, optimizer: int) -> None:
        """This optimizer stepped: what is cleared from now on is told until its next step."""
        if optimizer in self.since or len(self.since) < OWNERS:
            self.since[optimizer] = {}

    def marks(self, optimizer: int, tensor: int, backward: int) -> tuple[Because, ...]:
        """The line that cleared this tensor before that backward; or where nothing ever did, the
        second line that cleared one other optimizer since the last step."""
        clears = [
            event
            for (by, owner), event in self.last.items()
            if event.index < backward
            and (owner == optimizer if by == "optimizer" else self._holds(owner, tensor))
        ]
        if clears:
            newest = max(clears, key=lambda event: event.index)
            return because("the last clear before them ran here", newest.site)
        for owner, sites in self.since.get(optimizer, {}).items():
            if owner != optimizer and len(sites) > 1:
                return because("this cleared another optimizer's once more", sites[-1])
        return ()

    def _holds(self, module: int, tensor: int) -> bool:
        """Whether the tensor is the module's, or that of one inside it."""
        entry = self.roster.tensors.get(tensor)
        return entry is not None and module in self.trees.above(entry.module)
