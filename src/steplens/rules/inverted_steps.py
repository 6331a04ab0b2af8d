"""Inverted steps: those of an accumulation that are taken for all batches but each k-th, as SL207
tells of them."""

from collections.abc import Sequence

from steplens.model.event import Backward, Step, Vain
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.rules.base import Cases, because, seen

KEPT = 256  # backward passes remembered
LEAST = 3  # such steps: one may be what was left of an epoch
Line = tuple[str, int, int]


class InvertedSteps:
    """Steps under `if i % k:` that used fewer losses than each was divided by."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.divisors = Newest[int, float](KEPT)  # of backward passes of divided losses
        self.told: dict[Line, Vain] = {}  # the line of a step, and its `if`
        self.short: dict[Line, int] = {}  # steps there that used too few

    def vain(self, event: Vain) -> None:
        """A line of the source that does not do what it was to."""
        if event.what == "inverted" and event.other is not None:
            self.told[_line(event.other)] = event

    def divided(self, event: Backward, divisors: Sequence[float]) -> None:
        """A loss goes backward that was divided by these."""
        if divisors:
            self.divisors[event.index] = divisors[0]

    def step(self, event: Step) -> None:
        """An optimizer stepped."""
        if not self.told or event.site is None:
            return
        key, new = _line(event.site), unused(event)
        told, count = self.told.get(key), max(map(len, new), default=0)
        known = {self.divisors.get(each, 0.0) for one in new for each in one}
        if told is None or len(known) != 1 or not count < (divisor := known.pop()):
            return
        self.short[key] = self.short.get(key, 0) + 1
        if self.short[key] < LEAST or self.cases.again(("inverted", key), event.step + 1):
            return
        self.cases.open(
            ("inverted", key),
            event.step + 1,
            told.site,
            f"steps are taken at all batches but each {divisor:g}th: `{told.name}` is true for "
            "those others",
            label="true wherever the remainder is not 0",
            because=because("stepped here", event.site),
            evidence=(
                seen("losses that this step used", count, f"{divisor:g}"),
                seen("each was divided by", divisor),
            ),
            help=f"compare: `if {told.name.split(' != ')[0].split(' > ')[0]} == 0:`",
            severity="warning",
            event=event.index,
        )


def unused(event: Step) -> list[list[int]]:
    """The backward passes whose contributions a step used that none had used before, of each share
    of its tensors."""
    return [[c.backward for c in share.holds if not c.used_by] for share in event.uses]


def _line(site: Site) -> Line:
    return site.file, site.cell, site.line
