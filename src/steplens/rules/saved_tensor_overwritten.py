"""SL212: which saved tensor was written in place, where saved, where written, when the program dies
of it."""

import re

from steplens.model.event import Failure, Line, Step
from steplens.model.finding import Because, Evidence
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen

VERSIONS = re.compile(r"is at version (\d+); expected version (\d+)")


@rule(
    "SL212",
    "saved-tensor-overwritten",
    "error",
    needs=("failure",),
    claims=("inplace-write-breaks-backward",),
)
class SavedTensorOverwritten:
    """An error explained: `modified by an inplace operation`.

    ## What it does
    When the program dies of this error, names the tensor that a backward pass needed and found
    changed, the line of the forward that saved it, and the line that wrote it: an optimizer's step
    between a forward and its backward, or an operation in place.

    ## Why is this bad?
    The derivative of an operation is made of the values at the time of the forward. torch refuses
    to go on with others, and its message names a shape where one looks for a line.

    ## Example
        g_loss = criterion(D(G(z)), real)
        d_loss.backward()
        opt_D.step()
        g_loss.backward()

    ## Use instead
        d_loss.backward()
        opt_D.step()
        g_loss = criterion(D(G(z)), real)
        g_loss.backward()

    ## When it is fine
    An error that the program catches is not explained. A write to a value that the loss no longer
    reaches is not found: then the finding stands at the line that saved it.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.steps = Newest[int, Site | None](64)
        self.written: dict[str, Site | None] = {}  # parameter -> the line that changed it last

    def step(self, event: Step) -> None:
        self.steps[event.index] = event.site

    def line(self, event: Line) -> None:
        for change in event.changes:
            if change.part == "parameter":
                self.written[change.subject] = event.site

    def failure(self, event: Failure) -> None:
        if event.explains != "overwritten":
            return
        name = self.roster.name(event.tensor) if event.tensor >= 0 else ""
        writer = event.where or self.steps.get(event.cause) or self.written.get(name)
        at = writer or event.made or event.site
        marks: list[Because] = []
        if event.made != at:
            marks += because("its value was saved for the backward here", event.made)
        if event.site != at:
            marks += because("this backward found it changed", event.site)
        what = f"`{name}`" if name else "a value of the forward"
        self.cases.open(
            event.explains,
            event.step + 1,
            at,
            f"{what} was written in place between the forward that saved it and the backward",
            label="written here" if writer is not None else "saved here, written since",
            because=marks,
            evidence=self._evidence(event),
            help="step after all backward passes of the forward, or run the forward again"
            if event.cause >= 0
            else "write to a copy: `x = x + 1` for `x += 1`, or `x.clone()` first",
            event=event.index,
        )

    def _evidence(self, event: Failure) -> list[Evidence]:
        found = [seen("saved by", f"`{event.detail}`")] if event.detail else []
        versions = VERSIONS.search(event.message)
        if versions:
            found.append(seen("writes to it", versions[1], versions[2]))
        return found
