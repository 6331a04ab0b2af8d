"""Course: the whole run in a bounded number of stretches, exact in its counts."""

import msgspec

from steplens.model import event as ev
from steplens.model.site import Site

STRETCHES = 1024  # kept at most; beyond, each two become one
KINDS = (
    "forward", "backward", "clear", "step", "mode", "grad-mode", "write", "load", "clip",
    "schedule", "failure",
)  # fmt: skip
PLACES = 2000  # lines whose calls are counted
RATES = 4  # learning rates followed


class Span(msgspec.Struct, array_like=True, gc=False):
    """The least, the largest and the last of the finite values looked at in a stretch; ``bad``
    counts those that were not finite."""

    low: float | None = None
    high: float | None = None
    last: float | None = None
    bad: int = 0

    def add(self, value: float | None) -> None:
        """Take in one value, None for one that was not finite."""
        if value is None or value != value or value in (float("inf"), float("-inf")):
            self.bad += 1
            return
        self.low = value if self.low is None else min(self.low, value)
        self.high = value if self.high is None else max(self.high, value)
        self.last = value

    def join(self, later: "Span") -> None:
        """Take in the stretch that follows."""
        if later.low is not None and later.high is not None:
            self.low = later.low if self.low is None else min(self.low, later.low)
            self.high = later.high if self.high is None else max(self.high, later.high)
            self.last = later.last
        self.bad += later.bad


class Stretch(msgspec.Struct, omit_defaults=True, gc=False):
    """Events ``number * width`` up to the next stretch's: ``step`` is the number of steps ended
    before it.

    ``evals`` and ``dark`` count the forwards in eval mode and those with gradient recording off.
    ``rates`` are the learning rates, by optimizer and group (``0.1``: group 1 of optimizer 0).
    """

    number: int
    step: int = 0
    counts: dict[str, int] = {}
    evals: int = 0
    dark: int = 0
    loss: Span | None = None
    gradient: Span | None = None
    ratio: Span | None = None
    rates: dict[str, Span] = {}


class Course(msgspec.Struct):
    """Stretches of ``width`` events each (those in which nothing happened are left out), and the
    calls of each line over the whole run: place -> kind -> count."""

    width: int = 1
    stretches: list[Stretch] = []
    calls: dict[str, dict[str, int]] = {}


class Surveyor:
    """Folds Events into a Course. What it remembers beside it saves time only: it hears every call
    of the run."""

    def __init__(self, course: Course) -> None:
        self.course = course
        self.newest = Stretch(-1)
        self.told = False  # whether the newest backward told its loss
        self.places: dict[int, tuple[Site, dict[str, int]]] = {}  # by the Site's identity
        self.weight = 1  # how often the event now heard has happened at its line
        self.left = 0  # events of a repeated round still to come
        self.rounds: list[tuple[Stretch, int]] = []  # where those left out lie, and how many

    def hear(self, event: ev.Event) -> None:
        """Take in one Event, in order."""
        kind = ev.TAGS[type(event)]
        if kind in KINDS:
            self._count(event, kind)
        elif isinstance(event, ev.Values):
            self._values(event)
        elif isinstance(event, ev.Repeat):
            self._repeat(event)
            return
        if self.left:
            self.left -= 1
            self.weight = self.weight if self.left else 1
            if not self.left:
                self.rounds = []

    def _repeat(self, event: ev.Repeat) -> None:
        """Count the rounds left out in their stretches; the lines of the round that follows count
        for them too."""
        self.weight, self.left = event.times + 1, event.events
        first, done = event.index + 1 - event.times * event.events, 0
        while done < event.times:
            index = first + done * event.events
            here = self._at(index, event.step - (event.times - done) * event.steps)
            room = (index // self.course.width + 1) * self.course.width - 1 - index
            rounds = min(event.times - done, room // event.events + 1)
            for kind, count in event.counts.items():
                if kind in KINDS:
                    here.counts[kind] = here.counts.get(kind, 0) + count * rounds
            self.rounds.append((here, rounds))
            done += rounds

    def _count(self, event: ev.Event, kind: str) -> None:
        here = self._at(event.index, event.step)
        here.counts[kind] = here.counts.get(kind, 0) + 1
        if isinstance(event, ev.Forward):
            for stretch, times in (*self.rounds, (here, 1)):
                stretch.evals += times * (not event.training)
                stretch.dark += times * (not event.grad)
        elif isinstance(event, ev.Backward):
            self.told = event.loss is not None
            if self.told:
                here.loss = here.loss or Span()
                here.loss.add(event.loss)
        elif isinstance(event, ev.Step):
            for group, rate in enumerate(event.lrs[:RATES]):
                name = f"{event.optimizer}.{group}"
                if name in here.rates or len(here.rates) < RATES:
                    here.rates.setdefault(name, Span()).add(rate)
        if event.site is not None:
            known = self.places.get(id(event.site))
            calls = known[1] if known is not None else self._calls(event.site)
            calls[kind] = calls.get(kind, 0) + self.weight

    def _calls(self, site: Site) -> dict[str, int]:
        """The counts of a place; one that nobody reads where there are too many places."""
        calls = self.course.calls.get(site.place)
        if calls is None:
            if len(self.course.calls) >= PLACES:
                return {}
            calls = self.course.calls[site.place] = {}
        if len(self.places) < 2 * PLACES:  # a place may have several Sites
            self.places[id(site)] = (site, calls)
        return calls

    def _values(self, event: ev.Values) -> None:
        """Values belong to the event they were read of, which came a little earlier."""
        here = self._at(event.of, max(event.step - 1, 0))
        if (event.loss is not None or not event.loss_finite) and not self.told:
            here.loss = here.loss or Span()
            here.loss.add(event.loss)
        if event.gradient is not None or event.bad_gradients:
            here.gradient = here.gradient or Span()
            here.gradient.add(event.gradient)
        if event.ratio is not None:
            here.ratio = here.ratio or Span()
            here.ratio.add(event.ratio)

    def _at(self, index: int, step: int) -> Stretch:
        """The stretch of an event; those from before the newest ones may be asked for too."""
        number = index // self.course.width
        if self.newest.number == number:
            return self.newest
        stretches = self.course.stretches
        place = len(stretches)
        while place and stretches[place - 1].number > number:
            place -= 1
        if place and stretches[place - 1].number == number:
            return stretches[place - 1]
        made = Stretch(number, step)
        stretches.insert(place, made)
        if place == len(stretches) - 1:
            self.newest = made
        if len(stretches) <= STRETCHES:
            return made
        self._halve()
        return self._at(index, step)

    def _halve(self) -> None:
        """Make one stretch of each two."""
        self.course.width *= 2
        joined: list[Stretch] = []
        for each in self.course.stretches:
            each.number //= 2
            if joined and joined[-1].number == each.number:
                _join(joined[-1], each)
            else:
                joined.append(each)
        self.course.stretches = joined
        self.newest = joined[-1]


def _join(one: Stretch, later: Stretch) -> None:
    for kind, count in later.counts.items():
        one.counts[kind] = one.counts.get(kind, 0) + count
    one.evals += later.evals
    one.dark += later.dark
    for name in ("loss", "gradient", "ratio"):
        mine, its = getattr(one, name), getattr(later, name)
        if mine is None:
            setattr(one, name, its)
        elif its is not None:
            mine.join(its)
    for name, span in later.rates.items():
        if name in one.rates:
            one.rates[name].join(span)
        else:
            one.rates[name] = span
