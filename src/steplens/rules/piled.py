"""Piled: passes of a closure that add to the gradients of its earlier evaluations, as SL201 tells
them."""

from steplens.model.event import Backward, Overlap, Step
from steplens.model.finding import Evidence
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, seen


def parts(overlap: Overlap | None) -> tuple[Evidence, ...]:
    """What a gradient held and what a backward added to it, where both were measured."""
    if overlap is None:
        return ()
    return (
        seen("|old part|", overlap.old_norm, 0.0),
        seen("|new part|", overlap.new_norm),
        seen("cosine of old and new part", overlap.cosine),
    )


class Piled:
    """Counts the passes in the closure of the step that runs."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.passes = 0
        self.piled: list[Backward] = []
        self.known: dict[int, Site | None] = {}  # optimizer -> line of the pass

    def backward(self, event: Backward) -> None:
        """A pass, perhaps of a closure."""
        if event.inside < 0:
            return
        self.passes += 1
        if event.piled:
            self.piled.append(event)

    def step(self, event: Step) -> bool:
        """A step has ended: whether its closure, now or before, went on adding up."""
        passes, self.passes = self.passes, 0
        piled = [each for each in self.piled if each.inside == event.optimizer]
        self.piled = []
        if piled:
            self._tell(event, piled, passes)
        return event.closure and event.optimizer in self.known

    def _tell(self, event: Step, piled: list[Backward], passes: int) -> None:
        first = piled[0]
        self.known[event.optimizer] = first.site
        cause = ("closure", first.site or event.optimizer)
        if self.cases.again(cause, event.step + 1):
            return
        evidence = (
            seen(f"passes in this step that added to what it had read, of {passes}", len(piled), 0),
            seen("gradients", f"{len(first.piled)} tensors ({named(self.roster, first.piled)})"),
            *parts(first.overlap),
        )
        self.cases.open(
            cause,
            event.step + 1,
            first.site,
            "a closure was evaluated again and added to gradients that the step had already used",
            label="this backward adds to what the evaluation before it left",
            because=because("this step evaluates it several times", event.site),
            evidence=evidence,
            help="clear in the closure, before its backward: "
            f"`{self.roster.variable(event.optimizer)}.zero_grad()`",
            event=first.index,
            tensors=first.piled,
        )
