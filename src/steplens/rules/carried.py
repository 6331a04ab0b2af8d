"""Carried: the last losses of a pass of the data, too few for a step, that the first step of the
next pass uses beside its own, as SL207 tells of them."""

from steplens.model.event import Backward, Batch, Step
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.rules.base import Cases, because, number, seen
from steplens.rules.inverted_steps import unused

KEPT = 256  # backward passes remembered
OFTEN = 2  # passes whose rest was carried over, and steps that used as many as they were scaled for


class Line:
    """The losses of one line: what they were divided by, how many steps used how many of them, and
    the steps that used a rest, too: the first, the last, how many, the rest and the losses of
    their own."""

    __slots__ = ("divisors", "usual", "first", "last", "times", "parts", "stepped")

    def __init__(self) -> None:
        self.divisors: set[float] = set()
        self.usual: dict[int, int] = {}
        self.first = self.last = self.times = 0
        self.parts: set[tuple[int, int]] = set()
        self.stepped: Site | None = None


class Carried:
    """What each line's losses were scaled for, and what the steps used of them. What a loss was
    divided by is read now and then only, so that it is told at the end."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.lines: dict[Site, Line] = {}
        self.passed = Newest[int, Site](KEPT)  # backward passes
        self.ended = -1  # the index at which the newest pass of the data began or ended

    def batch(self, event: Batch) -> None:
        """A loader gave something, or one of its passes began or ended."""
        if event.form in ("epoch", "end"):
            self.ended = event.index

    def backward(self, event: Backward, divisors: tuple[float, ...] | None) -> None:
        """A loss goes backward that was divided by these; None where nobody has looked."""
        if event.site is None or (event.site not in self.lines and len(self.lines) >= KEPT):
            return
        self.passed[event.index] = event.site
        line = self.lines.setdefault(event.site, Line())
        if divisors is not None:
            line.divisors.add(divisors[0] if len(divisors) == 1 else 0.0)

    def step(self, event: Step) -> None:
        """An optimizer stepped."""
        new = {tuple(each) for each in unused(event)}
        if len(new) != 1 or event.closure:
            return
        used = new.pop()
        sites = {self.passed.get(each) for each in used}
        site = sites.pop() if len(sites) == 1 else None
        if site is None:
            return
        line = self.lines[site]
        rest = sum(each < self.ended for each in used)
        own = len(used) - rest
        if not rest:
            line.usual[own] = line.usual.get(own, 0) + self.cases.weight
        elif own:
            line.first = line.first or event.step + 1
            line.last, line.times = event.step + 1, line.times + self.cases.weight
            line.parts.add((rest, own))
            line.stepped = event.site

    def end(self) -> None:
        """Whether all that were carried came to the losses of a whole step, which had been scaled
        for their number alone."""
        for site, line in self.lines.items():
            owns = {own for _, own in line.parts}
            by = min(line.divisors) if len(line.divisors) == 1 else 0.0
            if owns != {by} or by < OFTEN or line.times < OFTEN:
                continue
            count, rest = int(by), max(rest for rest, _ in line.parts)
            if {*line.usual} != {count} or line.usual[count] < OFTEN or rest >= count:
                continue
            self.cases.open(
                ("carried", site),
                line.first,
                site,
                f"{rest} losses were left over at the end of a pass of the data, and were used by "
                f"the first step of the next, beside {count} that are divided by {count}",
                label=f"scaled for {count}, and {count + rest} were added up",
                because=because("used them here", line.stepped),
                evidence=(
                    seen("losses of a step", count, f"{count + rest}, of such a one"),
                    seen("its weight", number((count + rest) / count), "1"),
                ),
                help="step with what is left at the end of the pass, or clear it, or count the "
                "batches on from pass to pass",
            )
            self.cases.amend(("carried", site), last_step=line.last, count=line.times)
