"""Fates: what became of every parameter."""

from collections.abc import Iterable
from typing import NamedTuple

from steplens.check.chronicle.tally import Tally
from steplens.model.chronicle import Fate, Size
from steplens.model.event import Backward, Clear, Drift, Forward, Line, Step, Values
from steplens.model.finding import Finding
from steplens.model.repeats import Weighed
from steplens.model.roster import Roster, TensorEntry
from steplens.model.site import Site

FLAGS = 20000  # places remembered at which requires_grad was set


class Course:
    """The steps of one optimizer, and what each did to its tensors."""

    __slots__ = (
        "steps", "skipped", "used", "unmoved", "drifted", "at_zero", "first", "last", "sized",
        "looks", "zero",
    )  # fmt: skip

    def __init__(self) -> None:
        self.steps = 0
        self.skipped = 0
        self.used = Tally()
        self.unmoved = Tally()
        self.drifted = Tally()
        self.at_zero = Tally()
        self.first: tuple[float, ...] = ()
        self.last: tuple[float, ...] = ()
        self.sized: Values | None = None
        self.looks = 0
        self.zero: tuple[object, tuple[int, ...]] = ((), ())


class Told(NamedTuple):
    """The counts of one optimizer by tensor; ``blind`` tensors are written without a trace in their
    write counters, as their values show."""

    steps: int
    used: dict[int, int]
    unmoved: dict[int, int]
    drifted: dict[int, int]
    at_zero: dict[int, int]
    blind: bool


class Fates(Weighed):
    """Hears what reached, used, wrote and cleared each tensor, and tells its Fate."""

    HEARS = ("forward", "backward", "clear", "step", "values", "drift", "line")

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.courses: dict[int, Course] = {}
        self.reached = Tally()
        self.lost = Tally()
        self.by_hand: set[int] = set()
        self.ran: set[int] = set()  # modules called
        self.cleared_at: Site | None = None
        self.flags: dict[str, Site | None] = {}  # parameter's name -> where it was frozen

    # -- events -------------------------------------------------------------------------------

    def forward(self, event: Forward) -> None:
        """The model takes part."""
        self.ran.add(event.module)

    def backward(self, event: Backward) -> None:
        """Its leaves were reached."""
        self.reached.add(event.leaves, self.weight)

    def clear(self, event: Clear) -> None:
        """Gradients that no step had used may be lost."""
        for share in event.lost:
            if not share.holds[-1].used_by:
                self.lost.add(share.tensors, self.weight)
                self.cleared_at = event.site

    def step(self, event: Step) -> None:
        """Its tensors were used, written, or passed over."""
        course = self.courses.get(event.optimizer)
        if course is None:
            course = self.courses[event.optimizer] = Course()
        if event.skipped:
            course.skipped += 1
            return
        course.steps += self.weight
        course.first, course.last = course.first or event.lrs, event.lrs
        for share in event.uses:
            course.used.add(share.tensors, self.weight)
        if event.unknown:
            course.used.add(event.unknown, self.weight)
        if event.unmoved:
            course.unmoved.add(event.unmoved, self.weight)
        if event.drifted:
            course.drifted.add(event.drifted, self.weight)
        if 0.0 in event.lrs:
            self._at_zero(course, event)

    def _at_zero(self, course: Course, event: Step) -> None:
        """Count the tensors of groups at learning rate 0 that it wrote; mostly as the last time."""
        used = tuple(share.tensors for share in event.uses)
        key = (event.lrs, used, event.drifted)
        if course.zero[0] != key:
            written = {*event.unknown, *event.drifted}.union(*used)
            entry = self.roster.optimizers[event.optimizer]
            resting = {
                tensor
                for tensor, group in zip(entry.tensors, groups(entry.sizes), strict=False)
                if group < len(event.lrs) and event.lrs[group] == 0
            }
            course.zero = (key, tuple(sorted(written & resting)))
        if course.zero[1]:
            course.at_zero.add(course.zero[1], self.weight)

    def values(self, event: Values) -> None:
        """Keep the sizes of the newest look."""
        course = self.courses.get(event.optimizer)
        if course is not None and event.full:
            course.looks += 1
            course.sized = event

    def drift(self, event: Drift) -> None:
        """The program writes these itself."""
        self.by_hand.update(event.tensors)

    def line(self, event: Line) -> None:
        """A line may have frozen parameters."""
        for change in event.changes:
            if change.part == "trainable" and len(self.flags) < FLAGS:
                self.flags[change.subject] = event.site if change.after is False else None

    # -- what is told -------------------------------------------------------------------------

    def sizes(self) -> list[Size]:
        """The sizes of all tensors at the last look at each."""
        found: dict[int, Size] = {}
        for course in self.courses.values():
            if course.sized is not None:
                found.update((size.tensor, size) for size in course.sized.sizes)
        return list(found.values())

    def told(self, findings: Iterable[Finding]) -> list[Fate]:
        """Every parameter, leaf that an optimizer holds, or tensor that a finding is about, in one
        Fate."""
        codes: dict[int, dict[str, None]] = {}
        for finding in findings:
            for tensor in finding.tensors:
                codes.setdefault(tensor, {})[finding.code] = None
        return Telling(self, codes).fates()


class Telling:
    """Fates as they are told at one moment."""

    def __init__(self, known: Fates, codes: dict[int, dict[str, None]]) -> None:
        self.known = known
        self.roster = known.roster
        self.codes = codes
        self.names = self.roster.titles()
        self.steps = sum(course.steps for course in known.courses.values())
        self.ran = {self.roster.modules[module].root for module in known.ran}
        self.reached = known.reached.told()
        self.lost = known.lost.told()
        self.courses = {n: _told(course) for n, course in known.courses.items()}
        self.holders: dict[int, list[int]] = {}
        self.rates: dict[int, tuple[float | None, float | None]] = {}
        for number, entry in self.roster.optimizers.items():
            course = known.courses.get(number)
            for tensor, group in zip(entry.tensors, groups(entry.sizes), strict=False):
                self.holders.setdefault(tensor, []).append(number)
                if course is not None:
                    self.rates[tensor] = (_rate(course.first, group), _rate(course.last, group))
        for number, course in self.courses.items():
            for tensor in (*course.used, *course.drifted):
                holders = self.holders.setdefault(tensor, [])
                if number not in holders:
                    holders.append(number)

    def fates(self) -> list[Fate]:
        """All of them; tensors that fared alike are one."""
        found: dict[object, tuple[Fate, list[int]]] = {}
        for tensor, entry in self.roster.tensors.items():
            if entry.role == "parameter" or tensor in self.holders or tensor in self.codes:
                fate = self._fate(tensor, entry)
                key = tuple(getattr(fate, name) for name in FIELDS)
                found.setdefault(key, (fate, []))[1].append(tensor)
        for fate, tensors in found.values():
            fate.tensors = tuple(tensors)
        return [fate for fate, _ in found.values()]

    def _fate(self, tensor: int, entry: TensorEntry) -> Fate:
        holders = self.holders.get(tensor, [])
        courses = [self.courses[number] for number in holders if number in self.courses]
        drifted = sum(course.drifted.get(tensor, 0) for course in courses)
        used = sum(course.used.get(tensor, 0) for course in courses)
        unmoved = sum(c.unmoved.get(tensor, 0) for c in courses if not c.blind)
        fate = Fate(
            "",
            "",
            (),
            tuple(holders),
            steps=sum(course.steps for course in courses),
            used=used,
            moved=used + drifted - unmoved,
            at_zero=sum(course.at_zero.get(tensor, 0) for course in courses),
            reached=self.reached.get(tensor, 0),
            lost=self.lost.get(tensor, 0),
            rates=self.rates.get(tensor, (None, None)),
            codes=tuple(sorted(self.codes.get(tensor, ()))),
            frozen=not entry.trainable,
        )
        fate.kind, fate.why = self._kind(tensor, entry, fate)
        fate.at = self._at(tensor, entry, fate)
        return fate

    def _kind(self, tensor: int, entry: TensorEntry, fate: Fate) -> tuple[str, str]:
        if "SL311" in fate.codes:
            return "unchanged", "without-effect"
        if fate.moved > fate.at_zero:
            return "trained", ""
        if tensor in self.known.by_hand:
            return "by-hand", ""
        if fate.moved:
            return "unchanged", "lr-zero"
        if not (fate.reached or fate.codes or fate.steps) and self._absent(entry, fate):
            return "absent", ""
        if fate.frozen:
            return "frozen", ""
        if not fate.optimizers:
            return "unchanged", "in-no-optimizer" if fate.reached or fate.codes else "apart"
        if not fate.steps:
            return "unchanged", "never-stepped"
        if not fate.reached:
            return "unchanged", "not-reached"
        if fate.used:
            return "unchanged", "not-moved"
        return "unchanged", "cleared" if fate.lost else "not-used"

    def _absent(self, entry: TensorEntry, fate: Fate) -> bool:
        """Whether it took no part: it died early, or belongs to a model that never ran."""
        early = 0 <= entry.died < self.steps and not fate.optimizers
        return early or (entry.root not in self.ran and (entry.root >= 0 or not fate.optimizers))

    def _at(self, tensor: int, entry: TensorEntry, fate: Fate) -> Site | None:
        if fate.kind == "frozen":
            name = self.names[tensor]
            return self.known.flags.get(name) or self.known.flags.get(entry.name)
        if fate.why == "cleared":
            return self.known.cleared_at
        return entry.site if fate.why in ("in-no-optimizer", "not-reached") else None


FIELDS = tuple(name for name in Fate.__struct_fields__ if name != "tensors")


def _told(course: Course) -> Told:
    unmoved = course.unmoved.told()
    sizes = course.sized.sizes if course.sized is not None else ()
    blind = any(size.update and size.tensor in unmoved for size in sizes) if unmoved else False
    return Told(
        course.steps,
        course.used.told(),
        unmoved,
        course.drifted.told(),
        course.at_zero.told(),
        blind,
    )


def groups(sizes: tuple[int, ...]) -> list[int]:
    """The group of each of an optimizer's tensors, in order."""
    return [group for group, size in enumerate(sizes) for _ in range(size)]


def _rate(rates: tuple[float, ...], group: int) -> float | None:
    return rates[group] if group < len(rates) else None
