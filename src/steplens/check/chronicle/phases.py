"""Phases: the modes in which forwards ran, those that trained and those that only looked."""

from steplens.model.chronicle import Evaluation, Modes
from steplens.model.event import Backward, Forward, Idle, Step
from steplens.model.newest import Newest
from steplens.model.repeats import Weighed
from steplens.model.roster import Roster

KEPT = 512  # forwards whose backward may still come
FED = 64  # forwards of one run that may turn out to feed a training forward


class Run:
    """Forwards without grad of trained models, one after the other; ``times`` such runs, which
    began in the round that follows the Event ``since``, if that has happened several times."""

    __slots__ = ("key", "times", "forwards", "indices", "since")

    def __init__(self, key: tuple[bool, bool], times: int, since: int) -> None:
        self.key, self.since = key, since
        self.times = times
        self.forwards = 0
        self.indices: set[int] = set()


class Phases(Weighed):
    """Counts training forwards by mode, and evaluations: runs of forwards without grad of a model
    that an optimizer holds, whose output no training forward was given."""

    HEARS = ("forward", "backward", "step", "idle")

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.modes = Modes()
        self.waiting = Newest[int, tuple[Forward, int]](KEPT)  # and how often it has happened
        self.run: Run | None = None
        self.evaluations: dict[tuple[bool, bool, bool], Evaluation] = {}
        self.held: tuple[int, frozenset[int]] = (-1, frozenset())

    def forward(self, event: Forward) -> None:
        """Remember a recorded one, count another as part of an evaluation."""
        if event.recorded:
            self.waiting[event.index] = event, self.weight
            if self.run is not None and not self.run.indices.isdisjoint(event.fed_by):
                self.run = None
        elif not event.grad and not event.purpose and self._held(event.module):
            key = (event.training, event.modes >= 0)
            run = self.run
            if run is None or run.key != key:
                since = self.left_out if self.running > 1 else -1
                times = self.weight // self.running
                if run is not None and since >= 0 and run.since == since:
                    run.times = times = self.weight  # one after the other in each such round
                self._end_run()
                run = self.run = Run(key, times, since)
            run.forwards += self.weight
            if len(run.indices) < FED:
                run.indices.add(event.index)

    def idle(self, event: Idle) -> None:
        """A forward in eval mode made a graph that nothing used."""
        forward, times = self.waiting.pop(event.forward, (None, 0))
        if forward is not None and self._held(forward.module):
            self._count(self.evaluations, (False, forward.modes >= 0, True), times, times)

    def backward(self, event: Backward) -> None:
        """The forwards that it reaches were for training."""
        self._end_run()
        for index in event.forwards:
            forward, times = self.waiting.pop(index, (None, 0))
            if forward is not None:
                self._trained(forward, times)

    def step(self, event: Step) -> None:
        """An evaluation ends where training goes on."""
        self._end_run()

    def _trained(self, forward: Forward, times: int) -> None:
        modes = self.modes
        if forward.modes < 0:
            modes.indifferent += times
            return
        reading = self.roster.modes[forward.modes]
        if not forward.training:
            modes.asleep += times * bool(reading.asleep)
            modes.indifferent += times * (not reading.asleep)
            return
        parts = len(set(reading.asleep).intersection(reading.trainable)) if reading.asleep else 0
        modes.parted += times * (parts > 0)
        modes.awake += times * (parts == 0)
        modes.parts = max(modes.parts, parts)

    def _held(self, module: int) -> bool:
        """Whether an optimizer holds a parameter of this module's tree."""
        roster = self.roster
        if self.held[0] != len(roster.optimizers):
            tensors = {t for entry in roster.optimizers.values() for t in entry.tensors}
            roots = frozenset(roster.tensors[tensor].root for tensor in tensors)
            self.held = (len(roster.optimizers), roots)
        return roster.modules[module].root in self.held[1]

    def _end_run(self) -> None:
        run, self.run = self.run, None
        if run is not None:
            self._count(self.evaluations, (*run.key, False), run.times, run.forwards)

    def _count(
        self,
        found: dict[tuple[bool, bool, bool], Evaluation],
        key: tuple[bool, bool, bool],
        times: int,
        forwards: int,
    ) -> None:
        training, sensitive, grad = key
        known = found.setdefault(key, Evaluation(training, grad, sensitive))
        known.times += times
        known.forwards += forwards

    def told(self) -> Modes:
        """The modes so far, an evaluation that still runs counted."""
        evaluations = {
            key: Evaluation(e.training, e.grad, e.sensitive, e.times, e.forwards)
            for key, e in self.evaluations.items()
        }
        if self.run is not None:
            self._count(evaluations, (*self.run.key, False), self.run.times, self.run.forwards)
        modes = self.modes
        return Modes(
            modes.awake,
            modes.parted,
            modes.asleep,
            modes.indifferent,
            modes.parts,
            list(evaluations.values()),
        )
