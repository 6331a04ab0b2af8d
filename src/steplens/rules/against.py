"""Against: an optimizer that holds another's tensors as well, and steps them against it."""

from collections import deque
from typing import NamedTuple

from steplens.model.event import Backward, Opposed, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, number, seen


class Pass(NamedTuple):
    """What is kept of a backward."""

    site: Site | None
    leaves: tuple[int, ...]


class Against:
    """Tells of two optimizers whose steps oppose each other, where that cannot be meant: the one
    that holds more has a loss that is none of the other's business (real samples), and the other's
    loss runs through what that one alone holds."""

    def __init__(
        self, roster: Roster, cases: Cases, passes: Newest[int, Pass], steps: deque[Step]
    ) -> None:
        self.roster = roster
        self.cases = cases
        self.passes = passes
        self.steps = steps  # the last ones
        # line of a backward -> what summands of its losses depend on, as optimizers
        self.summands = Newest[Site | None, frozenset[tuple[int, ...]]](64)

    def backward(self, event: Backward) -> None:
        """Remember whose tensors the summands of this loss are of."""
        if event.summands:
            known = self.summands.get(event.site, frozenset())
            self.summands[event.site] = known | frozenset(event.summands)

    def step(self, event: Step) -> None:
        """Both optimizers have stepped in turn, against each other."""
        found = event.opposed
        if found is None:
            return
        inner = self.roster.optimizers[found.inner]
        outer = self.roster.optimizers[found.outer]
        both = frozenset(inner.tensors)
        alone = frozenset(outer.tensors) - both
        if not both < frozenset(outer.tensors):
            return  # tensors were added since
        mine, theirs = self._newest(found.inner), self._newest(found.outer)
        if mine is None or theirs is None:
            return
        through = any(alone.intersection(each.leaves) for each in self._used(mine))
        own = any(self._apart(each, found, both) for each in self._used(theirs))
        if not (through and own):
            return
        names = inner.label or inner.type, outer.label or outer.type
        tensors = found.tensors
        self.cases.open(
            ("against", found.inner, found.outer),
            theirs.step + 1,
            outer.site or theirs.site,
            f"`{names[1]}` also holds what `{names[0]}` trains, and steps it by another loss, "
            "the other way",
            label="holds both networks",
            because=(
                *because(f"`{names[0]}` was made here", inner.site),
                *because(f"`{names[1]}` steps both here", theirs.site),
                *because(f"`{names[0]}` steps its part here", mine.site),
            ),
            evidence=(
                seen(
                    "cosine of the gradients by which the two step it",
                    f"{number(found.low)} to {number(found.high)} at {found.looks} turns running",
                ),
                seen(
                    "tensors that both step", f"{len(tensors)} ({named(self.roster, tensors)})", 0
                ),
            ),
            help=f"give `{names[1]}` the parameters of its own network alone, and `detach()` what "
            "its loss takes from the other",
            event=event.index,
            tensors=tensors,
        )

    def _newest(self, optimizer: int) -> Step | None:
        """Its last step."""
        return next((s for s in reversed(self.steps) if s.optimizer == optimizer), None)

    def _used(self, step: Step) -> list[Pass]:
        """The passes whose gradients a step used."""
        found = {each.backward for share in step.uses for each in share.holds}
        return [known for index in found if (known := self.passes.get(index)) is not None]

    def _apart(self, one: Pass, found: Opposed, both: frozenset[int]) -> bool:
        """Whether a loss, or a summand of it, depends on what the outer optimizer alone holds."""
        if both.isdisjoint(one.leaves):
            return True
        summands = self.summands.get(one.site, frozenset[tuple[int, ...]]())
        return any(found.outer in each and found.inner not in each for each in summands)
