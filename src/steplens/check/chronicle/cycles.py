"""Cycles: the order of the calls that lead to each step."""

from steplens.model.chronicle import Cycle, Part
from steplens.model.event import Backward, Clear, Clip, Forward, Step
from steplens.model.repeats import Weighed
from steplens.model.roster import Roster

ORDERS = 32  # told apart
CALLS = 2000  # of one cycle that are followed
DOUBTFUL = 64  # forwards in eval mode that a backward may still reach
WIDTHS = (2, 3, 4)  # calls in a group that is looked for as repeated
PLAIN, CLOSURE, PARTLY, INSIDE = "plain", "closure", "partly", "inside"

Atom = tuple[str, int]  # a call, and how often in a row


class Call:
    """A call, how often it came in a row, and the index of a forward in doubt (-1: none)."""

    __slots__ = ("word", "times", "doubt")

    def __init__(self, word: str, times: int, doubt: int = -1) -> None:
        self.word = word
        self.times = times
        self.doubt = doubt


class Cycles(Weighed):
    """Collects calls until steps end, and counts each order that they came in.

    Steps of several optimizers one right after the other end one cycle. A forward belongs to it
    when it was recorded in train mode, or when a backward reached it: evaluations do not.
    Optimizers made at one line, as in a loop over folds, count as one.
    """

    HEARS = ("forward", "backward", "clear", "clip", "step")

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.calls: list[Call] = []
        self.doubtful: dict[int, Call] = {}
        self.stepped: list[int] = []
        self.within: dict[int, None] = {}  # optimizers that stepped inside the running backward
        self.form = PLAIN
        self.before = False  # a clear or a backward came before the step that ends it began
        self.step_at = 0
        self.latest = -1  # the newest Backward heard
        self.rounds = 1  # how often the cycle now collected has
        self.folds: dict[tuple[Atom, ...], tuple[Part, ...]] = {}
        self.found: dict[object, Cycle] = {}

    # -- calls --------------------------------------------------------------------------------

    def forward(self, event: Forward) -> None:
        """A recorded forward; one in eval mode counts when a backward reaches it."""
        if not event.recorded or event.purpose:
            return
        if event.training:
            self._say("forward")
            return
        self._end()
        call = Call("forward", self.running, event.index)
        self.calls.append(call)
        self.doubtful[event.index] = call
        if len(self.doubtful) > DOUBTFUL:
            oldest = self.doubtful.pop(next(iter(self.doubtful)))
            self.calls = [call for call in self.calls if call is not oldest]

    def backward(self, event: Backward) -> None:
        """A backward; optimizers may have stepped inside it."""
        for index in event.forwards if self.doubtful else ():
            call = self.doubtful.pop(index, None)
            if call is not None:
                call.doubt = -1
        self.latest = event.index
        self._say("backward")
        self.before |= event.inside < 0
        if self.within:
            self.stepped, self.within = list(self.within), {}
            self.rounds = self.weight
            self.form, self.step_at = INSIDE, event.step
            self._end()

    def clear(self, event: Clear) -> None:
        """A clear of any kind."""
        self._say("clear")
        self.before |= event.inside < 0

    def clip(self, event: Clip) -> None:
        """A clip of gradients."""
        self._say("clip")

    def step(self, event: Step) -> None:
        """A step ends the cycle, unless another follows at once."""
        newest = max((share.holds[-1].backward for share in event.uses), default=-1)
        if newest > max(self.latest, self.left_out):
            self.within[event.optimizer] = None
            return
        if event.optimizer in self.stepped and self.rounds > self.weight:
            # it steps once more, which those left out did not
            self.rounds -= self.weight
            self._count(self.found)
        self.stepped.append(event.optimizer)
        self.rounds = self.weight
        self.step_at = event.step + 1
        if event.closure:
            self.form = PARTLY if self.before else CLOSURE

    def _say(self, word: str) -> None:
        if self.stepped:
            self._end()
        calls = self.calls
        if calls and calls[-1].word == word and calls[-1].doubt == -1:
            calls[-1].times += self.running
        elif len(calls) < CALLS:
            calls.append(Call(word, self.running))

    # -- cycles -------------------------------------------------------------------------------

    def _end(self) -> None:
        if self.stepped:
            self._count(self.found)
            self.calls, self.stepped, self.form, self.before = [], [], PLAIN, False
            self.doubtful.clear()

    def _count(self, found: dict[object, Cycle]) -> None:
        parts = self._parts()
        optimizers = tuple(dict.fromkeys(self.stepped))
        words = tuple((part.words, part.most > 1) for part in parts)
        key: object = (tuple(map(self._made, optimizers)), self.form, words)
        if key not in found and len(found) >= ORDERS:
            key, optimizers, parts = "others", (), ()
        known = found.get(key)
        if known is None:
            known = found[key] = Cycle(optimizers, parts, 0, self.step_at, self.form)
        elif parts != known.parts:
            known.parts = tuple(map(_joined, known.parts, parts))
        known.times += self.rounds

    def _made(self, optimizer: int) -> object:
        entry = self.roster.optimizers.get(optimizer)
        return (entry.label, entry.type, entry.site) if entry is not None else optimizer

    def _parts(self) -> tuple[Part, ...]:
        atoms: list[Atom] = []
        for call in self.calls:
            if call.doubt != -1:
                continue
            if atoms and atoms[-1][0] == call.word:
                atoms[-1] = (call.word, atoms[-1][1] + call.times)
            else:
                atoms.append((call.word, call.times))
        if self.form != INSIDE:
            atoms.append(("step", len(self.stepped)))
        key = tuple(atoms)
        known = self.folds.get(key)
        if known is None:
            if len(self.folds) >= 256:
                self.folds.clear()
            known = self.folds[key] = folded(key)
        return known

    def told(self) -> list[Cycle]:
        """The cycles so far, the most frequent first."""
        found = {
            key: Cycle(c.optimizers, c.parts, c.times, c.first, c.form)
            for key, c in self.found.items()
        }
        if self.stepped:
            self._count(found)
        cleared_next = bool(self.calls) and not self.stepped and self.calls[0].word == "clear"
        cycles = _turned(list(found.values()), cleared_next)
        return sorted(cycles, key=lambda cycle: (-cycle.times, cycle.first))


def folded(atoms: tuple[Atom, ...]) -> tuple[Part, ...]:
    """Calls with repeated groups as one part: forward, backward, forward, backward is
    (forward, backward) twice."""
    parts: list[Part] = []
    at = 0
    while at < len(atoms):
        width, times = _repeat(atoms, at)
        group = [atoms[at + place :: width][:times] for place in range(width)]
        words = tuple(repeats[0][0] for repeats in group)
        each = tuple((min(n for _, n in r), max(n for _, n in r)) for r in group)
        parts.append(Part(words, each, times, times))
        at += width * times
    return tuple(parts)


def _repeat(atoms: tuple[Atom, ...], at: int) -> tuple[int, int]:
    """The width of the group of calls that repeats from here, and how often it comes."""
    for width in WIDTHS:
        unit = [word for word, _ in atoms[at : at + width]]
        times = 1
        while [word for word, _ in atoms[at + times * width : at + (times + 1) * width]] == unit:
            times += 1
        if times > 1 and len(unit) == width:
            return width, times
    return 1, 1


def _joined(one: Part, other: Part) -> Part:
    each = tuple(
        (min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one.each, other.each, strict=True)
    )
    return Part(one.words, each, min(one.least, other.least), max(one.most, other.most))


def _kind(cycle: Cycle) -> str:
    return CLOSURE if cycle.form == PARTLY else cycle.form


def _turned(cycles: list[Cycle], cleared_next: bool) -> list[Cycle]:
    """A clear after each step begins every cycle but the first: such cycles are one, and end in
    it."""
    out = list(cycles)
    for later in cycles:
        if not later.parts or later.parts[0].words != ("clear",):
            continue
        for first in out:
            alone = first.times == 1 and first.first < later.first
            same = first.optimizers == later.optimizers and _kind(first) == _kind(later)
            if alone and same and first.parts == later.parts[1:]:
                if cleared_next or len(cycles) > 2:
                    out.remove(first)
                    later.parts = (*later.parts[1:], later.parts[0])
                    later.times, later.first = later.times + 1, first.first
                break
    return out
