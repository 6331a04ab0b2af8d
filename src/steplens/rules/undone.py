"""Undone: parameters that a line froze, all of which were unfrozen, or had another put in their
place, before anything ran: notes of SL316."""

from typing import NamedTuple

from steplens.model.event import Flagged, Line, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, seen


class Freeze(NamedTuple):
    """What a line froze for nothing, and the line that unfroze it."""

    at: Site
    tensors: tuple[int, ...]
    undone: Site


class Undone:
    """Follows the lines that freeze and unfreeze, as far as lines are heard.

    Freezing all of a model and then unfreezing a part is how a part is chosen; so is freezing
    nothing that way. So a freeze counts only if it left parameters of the model out, and if every
    one that it froze was unfrozen at another line, with no forward in between.
    """

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.frozen: dict[Site, set[int]] = {}
        self.since: dict[int, Site] = {}  # tensor -> the line that froze it last
        self.undone: dict[Site, dict[int, Site]] = {}
        self.replaced: set[int] = set()  # those told of that took a frozen one's place
        self.waiting: list[Freeze] = []  # until a step uses the gradients of them all

    def line(self, event: Line) -> None:
        """A line that changed something."""
        for change in event.changes:
            if change.part == "trainable" and change.whose.number >= 0:
                self.marked(event.site, change.whose.number, change.after is not False)

    def flagged(self, event: Flagged) -> None:
        """A line that set flags, after the window."""
        for tensor in event.tensors:
            self.marked(event.site, tensor, event.trainable)

    def marked(self, site: Site | None, tensor: int, trainable: bool) -> None:
        """A line froze a parameter, or unfroze it."""
        if site is None:
            return
        if not trainable:
            self.since[tensor] = site
            self.frozen.setdefault(site, set()).add(tensor)
            self.undone.get(site, {}).pop(tensor, None)
        else:
            at = self.since.pop(tensor, None)
            if at is not None and at != site:
                self.undone.setdefault(at, {})[tensor] = site

    def forward(self) -> None:
        """Something runs: what is frozen now stays so for it."""
        if not self.frozen:
            return
        for at, tensors in self.frozen.items():
            undone = self.undone.get(at, {})
            if undone.keys() >= tensors and self._some(tensors):
                last = list(undone.values())[-1]
                self.waiting.append(Freeze(at, tuple(sorted(tensors)), last))
        self.frozen, self.undone = {}, {}
        self.since.clear()

    def step(self, event: Step, cases: Cases) -> None:
        """Note what this step trains although a line had frozen it."""
        for share in event.uses:
            for tensor in share.tensors:
                if tensor not in self.replaced and self.roster.tensors[tensor].for_frozen:
                    self.replaced.add(tensor)
                    _replaced(self.roster, cases, event, tensor)
        if self.waiting:
            used = {tensor for share in event.uses for tensor in share.tensors}
            for freeze in [each for each in self.waiting if used.issuperset(each.tensors)]:
                self.waiting.remove(freeze)
                _unfrozen(self.roster, cases, event, freeze)

    def _some(self, tensors: set[int]) -> bool:
        """Whether their models have other parameters."""
        entries = self.roster.tensors
        roots = {entries[tensor].root for tensor in tensors} - {-1}
        return any(
            entry.role == "parameter" and entry.root in roots and number not in tensors
            for number, entry in entries.items()
        )


def _unfrozen(roster: Roster, cases: Cases, event: Step, freeze: Freeze) -> None:
    were = "was" if len(freeze.tensors) == 1 else "were"
    cases.open(
        ("undone", freeze.at),
        event.step + 1,
        freeze.at,
        f"{named(roster, freeze.tensors)} {were} frozen and unfrozen before anything ran: the "
        "freeze had no effect",
        label="frozen here",
        because=(
            *because("unfrozen here", freeze.undone),
            *because("this step used their gradients", event.site),
        ),
        evidence=[seen("frozen tensors that train", len(freeze.tensors), 0)],
        help="freeze after the line that sets `requires_grad` of them all, or leave them out there",
        severity="note",
        event=event.index,
        tensors=freeze.tensors,
    )


def _replaced(roster: Roster, cases: Cases, event: Step, tensor: int) -> None:
    cases.open(
        ("replaced", tensor),
        event.step + 1,
        roster.tensors[tensor].site,
        f"{named(roster, [tensor])} was frozen until another Parameter took its place, which "
        "requires a gradient and trains",
        label="put in its place here",
        because=because("this step used its gradient", event.site),
        evidence=[seen("requires_grad", True, "False, as of the one before it")],
        help="set `requires_grad_(False)` on the new Parameter, or write the values into the old "
        "one (`p.data.copy_`)",
        severity="note",
        event=event.index,
        tensors=[tensor],
    )
