"""Lost passes: backward passes whose gradients were cleared whole before any step used them."""

from collections.abc import Iterable

from steplens.model.event import Backward, Clear
from steplens.model.site import Site

KEPT = 512  # backward passes remembered


class LostPasses:
    """Follows what became of the gradients that each of the newest backward passes made."""

    def __init__(self) -> None:
        # line, leaves still unaccounted for, and all of them
        self.passes: dict[int, tuple[Site | None, set[int], tuple[int, ...]]] = {}
        self.lost: dict[int, Clear] = {}  # those that were, and what cleared them

    def backward(self, event: Backward) -> None:
        """Remember what it gave gradients to; those of a closure are the optimizer's affair."""
        if event.inside < 0:
            self.passes[event.index] = (event.site, {*event.leaves}, event.leaves)
            if len(self.passes) > KEPT:
                self._forget(next(iter(self.passes)))

    def clear(self, event: Clear) -> None:
        """Strike off what was cleared unused. Gradients that were not finite are thrown away on
        purpose."""
        for share in event.lost:
            for contribution in share.holds:
                known = self.passes.get(contribution.backward)
                if known is None:
                    continue
                if contribution.used_by or event.norm is None:
                    self._forget(contribution.backward)
                    continue
                known[1].difference_update(share.tensors)
                if not known[1]:
                    self.lost[contribution.backward] = event

    def _forget(self, backward: int) -> None:
        del self.passes[backward]
        self.lost.pop(backward, None)

    def used(self, backwards: Iterable[int]) -> None:
        """A step uses these backward passes: they are followed no longer."""
        for backward in backwards:
            self.passes.pop(backward, None)

    def since(self, index: int) -> dict[int, Clear]:
        """Those lost of the backward passes since an event, newest first, and what cleared each."""
        found: dict[int, Clear] = {}
        for backward in reversed(self.lost):
            if backward < index:
                break
            found[backward] = self.lost[backward]
        return found

    def sites(self, backwards: Iterable[int]) -> set[Site | None]:
        """The lines of those of these backward passes that are remembered."""
        return {self.passes[backward][0] for backward in backwards if backward in self.passes}

    def site(self, backward: int) -> Site | None:
        """The line of a backward pass that is remembered."""
        return self.passes[backward][0]

    def reached(self, backwards: Iterable[int]) -> set[int]:
        """All leaves of these backward passes, which are remembered."""
        return {tensor for backward in backwards for tensor in self.passes[backward][2]}
