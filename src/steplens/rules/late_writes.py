"""Late writes: gradients made smaller by hand after the step that used them: a case of SL206."""

from typing import NamedTuple

from steplens.model.event import Backward, Clear, Clip, Line, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.model.state import Digest
from steplens.rules.base import Cases, because, named, number, seen

# steps after which a line has done so, and of which it is looked at; gradients that are followed
TIMES, MOST, KEPT = 3, 16, 1024
LEAST = 0.999  # of the norm before, above which it has not become smaller


class Used(NamedTuple):
    """The step that used a gradient, and its newest contribution."""

    event: int
    optimizer: int
    site: Site | None
    step: int
    backward: int


class Late:
    """What a line wrote after one step."""

    __slots__ = ("line", "step", "tensors", "written")

    def __init__(self, line: Line, step: Used) -> None:
        self.line = line
        self.step = step
        self.tensors: dict[int, int] = {}  # tensor -> its newest contribution
        self.written: list[tuple[Digest, Digest]] = []  # before and after: counted later

    @property
    def exact(self) -> bool:
        """Whether write counters moved, so that no earlier line has written."""
        return all(new.version > old.version for old, new in self.written)

    @property
    def counted(self) -> bool:
        """Whether its norms are known."""
        return all(d.norm is not None for pair in self.written for d in pair)

    def norms(self) -> tuple[float, float]:
        """The norm before and after of what was written, and not cleared."""
        kept = [(old.norm or 0.0, new.norm) for old, new in self.written if new.norm]
        return sum(one**2 for one, _ in kept) ** 0.5, sum(two**2 for _, two in kept) ** 0.5


class LateWrites:
    """Follows, in the detail window, gradients from the step that used them to the next one.

    A line that shrinks them is told once it has done so after three steps, each time on gradients
    that the next step no longer found. One that a later step used is let be, for good.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.used = Newest[int, Used](KEPT)
        self.clipped = -1  # the newest clip by torch's functions, of which the rule tells itself
        self.waiting: dict[Site, Late] = {}
        self.past: dict[Site, list[Late]] = {}
        self.needed: set[Site] = set()

    def backward(self, event: Backward) -> None:
        """What it reaches is new."""
        for tensor in event.leaves if self.used else ():
            self.used.pop(tensor, None)

    def clear(self, event: Clear) -> None:
        """What it took is over: a backward that runs the program's lines (a checkpoint's forward)
        may have put something new in its place before it is told itself."""
        if event.by != "hand":
            for share in event.lost if self.used else ():
                for tensor in share.tensors:
                    self.used.pop(tensor, None)

    def clip(self, event: Clip) -> None:
        """One of torch's clips."""
        self.clipped = event.index

    def line(self, event: Line) -> None:
        """A line that changed something."""
        site = event.site
        if not self.used or site is None or site in self.needed:
            return
        if any(change.part in ("parameter", "optimizer") for change in event.changes):
            return  # the step's own line: optimizers may write gradients
        for change in event.changes:
            used = self.used.get(change.whose.number)
            if used is None or used.event < self.clipped or change.part != "gradient":
                continue
            late = self.waiting.get(site)
            if late is None or late.step.event != used.event:
                late = self.waiting[site] = Late(event, used)
            old, new = change.before, change.after
            if isinstance(old, Digest) and isinstance(new, Digest):
                late.tensors[change.whose.number] = used.backward
                late.written.append((old, new))

    def step(self, event: Step) -> None:
        """The step that could have used what was written."""
        for site, late in list(self.waiting.items()):
            kept = not late.tensors.keys().isdisjoint(event.unknown) or any(
                late.tensors.get(tensor) == held.backward
                for share in event.uses
                for held in share.holds
                for tensor in share.tensors
            )
            if not kept and late.step.optimizer != event.optimizer:
                continue
            del self.waiting[site]
            if kept:
                self.needed.add(site)
                self.past.pop(site, None)
            elif len(self.past.setdefault(site, [])) < MOST:
                self.past[site].append(late)
        at = event.index, event.optimizer, event.site, event.step
        for share in event.uses:
            used = Used(*at, share.holds[-1].backward)
            for tensor in share.tensors:
                self.used[tensor] = used
        self.look()

    def look(self) -> None:
        """Tell of what has been counted by now."""
        for site, past in list(self.past.items()):
            if len(past) >= TIMES and all(late.counted for late in past):
                pairs = [(late, *late.norms()) for late in past]
                smaller = [late for late, before, after in pairs if 0 < after < LEAST * before]
                if len(smaller) >= TIMES:
                    self._tell(site, smaller[0], len(smaller))
                    self.past[site] = []

    def _tell(self, site: Site, late: Late, times: int) -> None:
        step, (before, after) = late.step, late.norms()
        if self.cases.again(("late", step.site), step.step + 1):
            return
        names = named(self.roster, list(late.tensors))
        self.cases.open(
            ("late", step.site),
            step.step + 1,
            site if late.exact else step.site,
            "gradients were made smaller after the step that used them, and cleared: no step used "
            "what was written",
            label="written here, too late" if late.exact else "this step used them as they were",
            because=(
                *because("this step had used them", step.site if late.exact else None),
                *because("written by here", None if late.exact else site),
            ),
            evidence=(
                seen("steps after which they were written", times, 0),
                seen("gradients written", f"{len(late.tensors)} ({names})"),
                seen("their norm", f"{number(before)} before, {number(after)} after"),
            ),
            help="change gradients between `backward()` and `step()`",
            severity="warning",
            event=late.line.index,
        )
