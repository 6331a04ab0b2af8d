"""Steady: once the calls of a loop repeat exactly, they are compared and counted, not told anew.

When two rounds running were alike (``learner``), each further call is only compared with the one
that is due: the same object, from the same instruction of the user's code, as many graph nodes made
since the call before, the same modes, the same tensors with the write counters that are due. While
all holds, no Event is built and no rule is asked. At the first call that differs, when a look is
due, and when the Report is asked for, what was counted is told: a Repeat, the events of the last
whole round, and those of the round begun; and the Ledger and the probes are brought to where they
would have been.

What only a walk of the graph or a look at values can show is seen on the cadence, at rounds told in
full. The loss is read at each backward where that waits for nothing.
"""

from collections.abc import Callable
from threading import get_ident
from time import perf_counter
from typing import TYPE_CHECKING, Any

from steplens.model.event import Event, Repeat, Step
from steplens.record.branch import Position, settle
from steplens.record.counters import sequence_now
from steplens.record.here import Here
from steplens.record.repertoire import Learnt
from steplens.record.resume import bring_up, reopen
from steplens.record.rounds import Call, likeness
from steplens.record.silence import unheard
from steplens.record.stopwatch import CLOCK
from steplens.record.wrap import note

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

EXACT = 256  # rounds running that are compared in full
BRIEF = 7  # in brief after each that is compared in full from then on, until one differs
MOST = 63  # of short rounds, no more than pass in
LULL = 0.02  # seconds
TELL = 1.0  # seconds after which what was counted is told


class Steady:
    """Counts rounds while they repeat.

    One thread's calls are counted: the owner's. A call on another one ends the counting, whatever
    the first is doing. The owner alone writes the position: ``at``, the calls done since the
    counting began, and ``current``, the call in progress. It writes first and then asks whether it
    is ``on``; who ends the counting switches that off first and then reads the position,
    ``current`` before ``at``. So one of the two always sees what the other did, and a lock, which
    would cost as much as what is compared, is taken only to end the counting. What ``short`` reads
    at each call lies here, in slots, and is made ready when the counting begins.
    """

    __slots__ = (
        "at", "begun_told", "branched", "brief", "current", "due", "earlier", "exchanged", "feeds",
        "here", "inside", "last", "learnt", "left", "lock", "loss", "more", "most", "newest", "on",
        "opened", "origin", "owner", "recorder", "roots", "round", "rouse", "runs", "seeds", "seq",
        "size", "slow", "started", "step_end", "steps", "strange", "synced", "taken", "token",
        "told", "tried", "wake", "wake_at", "watched", "whole", "whole_told",
    )  # fmt: skip

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        self.lock = recorder.lock
        self.seeds, self.watched = recorder.seeds, recorder.forwards.watched
        self.on = False
        self.here = Here(recorder)  # of the thread that is counted
        self.owner = 0  # the thread whose calls are counted
        # the round
        self.learnt = Learnt((), (), 0)
        self.round: tuple[Call, ...] = ()
        self.size = 1  # calls in one round
        self.steps = 0  # in one round
        self.feeds = False  # whether a forward of the round is given what another gave
        self.exchanged = False  # whether its backward passes exchange something between ranks
        # the position
        self.at = 0
        self.brief = False  # whether the round begun is compared in brief
        self.whole = (0, 0.0)  # after how many rounds one was last compared in full, and when
        self.last = 0  # the step at which the last round that follows it in brief ends
        self.slow = True  # whether rounds are so long that each step may ask the clock
        self.rouse = 0.0  # the step before which nothing can be due
        self.current: Call | None = None
        self.due: Call | None = None  # the call that is due, while rounds are counted
        self.told = 0  # rounds that were told of
        self.started = 0  # the step at which the counting began
        self.origin = 0  # index of the first event of the first round
        self.newest = 0  # and of the round before it
        self.earlier = self.learnt  # which of those that are known that was
        self.runs: list[Position] = []  # rounds that were left for others, and are still to be told
        # rounds like these which came before others: to be counted, and to be told
        self.more: tuple[int, int] = 0, 0
        # the calls of the last whole round, and of the one begun, with the events told of them
        self.whole_told: list[tuple[Call, Event, int]] = []
        self.begun_told: list[tuple[Call, Event, int]] = []
        self.tried: set[int] = set()  # codes of the calls that were compared there
        self.branched = -1  # index of the event at which another known round was gone on with
        self.seq = self.step_end = 0  # sequence numbers when the last call and step ended
        self.synced = 0  # the step up to which the cadence has been told
        self.wake = self.wake_at = 0.0  # when a look or a word is due: the time, the step
        self.most = 0.0  # a loss above this ends the counting
        self.inside = 0  # the thread in a forward that is counted, as a quick word for its depth
        # what is to be seen when the counting has ended
        self.taken = 0  # the position at which the counting ended
        self.opened: Call | None = None  # the call then in progress, which is told in full
        self.token: Any = None  # what the probe's `after` needs for that
        self.roots: Any = ()  # of the backward in progress
        self.loss: float | None = None
        self.strange: tuple[int, ...] = ()  # tensors whose gradients somebody wrote
        self.left: float | None = None  # what our work had come to when a look ended the counting

    # -- the beginning --------------------------------------------------------------------------

    def take(self, learnt: Learnt) -> None:
        """Make this the round that is counted next."""
        self.learnt = learnt
        self.round, self.size = learnt.calls, len(learnt.calls)
        self.steps, self.feeds, self.exchanged = learnt.steps, learnt.feeds, learnt.exchanged

    def begin(self, here: Here, newest: int) -> None:
        """Count from here on; ``newest`` is the first event of the last round told in full."""
        recorder = self.recorder
        self.newest, self.at, self.taken, self.told = newest, 0, 0, 0
        self.earlier, self.branched = self.learnt, -1
        self.runs.clear()
        self.started = self.synced = recorder.step
        for call in self.round:
            call.unread = 0
        self.brief, self.whole = False, (0, perf_counter())
        self.origin = recorder.next_index
        self.seq = self.step_end = sequence_now()
        if self.left is not None:
            recorder.cadence.look.settle(CLOCK.seconds - self.left)
            self.left = None
        self.most = recorder.values.most()
        here.latest = recorder.values.newest()
        self.sleep()
        self.due = self.round[0]
        self.here, self.owner, self.on = here, here.thread, True

    def sleep(self) -> None:
        """Until a look is due, or all there is room for until the bystanders are to look."""
        recorder, cadence = self.recorder, self.recorder.cadence
        self.wake = perf_counter() + TELL
        if not self.steps:
            return
        self.wake = min(self.wake, cadence.look.when())
        rounds = self._room() // self._backwards()
        steps = min(cadence.free_at() - cadence.step, rounds * self.steps)
        self.wake_at = min(recorder.step + steps, recorder.spells.next)
        self._rest()

    def _rest(self) -> None:
        """A step that nothing is due at is not to ask; long ones ask the clock each."""
        self.rouse = 0.0 if self.slow else min(self.last, self.wake_at)

    def _room(self) -> int:
        """For how many backward passes there is room until the bystanders are to look."""
        counted = self.rounds * self._backwards()
        for run in self.runs:
            counted += run.rounds * run.learnt.backwards
        return self.recorder.bystanders.room(self.recorder.cadence) - counted

    def _backwards(self) -> int:
        return self.learnt.backwards or 1

    # -- counting -------------------------------------------------------------------------------

    @property
    def done(self) -> int:
        """Calls done since the counting began, or until it ended."""
        return self.at if self.on else self.taken

    @property
    def rounds(self) -> int:
        """Whole rounds since the counting began."""
        return self.done // self.size

    @property
    def place(self) -> int:
        """How many calls of the round begun are done."""
        return self.done % self.size

    @property
    def base(self) -> int:
        """Index of the first event of the round begun."""
        return self.origin + self.rounds * self.size

    @property
    def step(self) -> int:
        """How many steps the program has done."""
        done = sum(call.form == "step" for call in self.round[: self.place])
        return self.started + self.rounds * self.steps + done

    def index(self) -> int:
        """The index that the next Event would have, asked by the owner."""
        return self.origin + self.at + (self.current is not None and self.current.early)

    def elsewhere(self) -> bool:
        """Whether this is not the thread whose calls are counted; then the counting ends."""
        if get_ident() == self.owner:
            return False
        self.leave()
        return True

    def claimed(self, call: Call) -> bool:
        """The owner began this call just when the counting ended: whether it goes on as one in
        progress then, which is told in full when it ends."""
        with self.lock:  # until all is told
            self.current = self.due = None
            return self.opened is call

    def settled(self) -> bool:
        """The owner ended a call just when the counting ended: whether it was counted."""
        with self.lock:
            self.current = self.due = None
            return self.taken == self.at

    def overtaken(self) -> bool:
        """The counting has ended in the middle of a call: once all is told, it is for its probe to
        tell the call in full."""
        with self.lock:
            return False

    def takes(self, event: Event) -> bool:
        """Whether an Event of another probe is the one that is due; if not, the counting ends."""
        with self.lock:
            call, seq = self.due, sequence_now()
            if (
                call is not None
                and call.form == "other"
                and self.current is None
                and get_ident() == self.owner
                and type(event) is type(call.event)
                and event.index == self.origin + self.at
                and (self.brief or seq - self.seq == call.before)
                and likeness(event, call.apart) == call.said()
            ):
                call.kept[self.rounds & 1] = event
                if not self.brief:
                    self.seq = seq
                self.at += 1
                self.due = call.next
                return True
            self.leave()
        return False

    def stepped(self, call: Call, written: list[int]) -> None:
        """A step compared in full has ended, which left its tensors at these write counters."""
        call.written, call.unread = written, 0
        recorder = self.recorder
        self.step_end = self.seq
        recorder.step = recorder.census.steps = recorder.step + 1
        self.roused(call)

    def roused(self, call: Call) -> None:
        """A counted step has ended: how is the next round compared, and is anything due?"""
        now = perf_counter()
        if self.due is self.round[0]:
            self._compare(now)
        if self.recorder.step >= self.wake_at or now >= self.wake:
            self.awake(call)

    def _compare(self, now: float) -> None:
        """A round has ended: is the next one compared in brief, and how many after it?"""
        rounds = self.at // self.size
        done = self.recorder.step if self.steps else rounds
        if self.brief:
            self.brief = done < self.last
        elif rounds + self.learnt.counted >= EXACT:
            before, then = self.whole
            self.brief, self.whole = True, (rounds, now)
            many = min(MOST, int(LULL * (rounds - before) / max(now - then, 1e-9)))
            self.slow = many < BRIEF
            self.last = done + max(BRIEF, many) * (self.steps or 1)
        self._rest()

    def rounded(self) -> None:
        """A round without a step has ended."""
        now = perf_counter()
        if self.learnt.bare:  # else what it makes is counted
            self._compare(now)
        if now >= self.wake:
            self.tell(0)
            self.sleep()

    def awake(self, call: Call) -> None:
        """A counted step has ended, and something is due: a look, a word of what was counted, or
        the end of it. Looks fall on the steps of a round in turn."""
        self.sync()
        self.recorder.spells.follow(self.recorder)
        cadence = self.recorder.cadence
        if (call.nth + 1) % self.steps == cadence.looks % self.steps:
            cadence.step -= 1
            cadence.advance()
        if cadence.looking:
            self.leave(alike=True)
            return
        if not self.place:
            if self._room() < self._backwards():
                self.leave(alike=True)
                return
            with self.lock:
                settle(self)
            self.tell(0)
            self.sleep()

    def sync(self) -> None:
        """Tell the cadence of the steps counted."""
        step = self.step
        self.recorder.cadence.step += step - self.synced
        self.synced = step

    # -- the end of counting --------------------------------------------------------------------

    def leave(self, alike: bool = False) -> None:
        """Tell what was counted, and go on in full; the rounds may still be ``alike``. A call in
        progress becomes one told in full."""
        with self.lock:
            if self.on:
                self._leave()
                whole = not self.place and self.opened is None  # it came to an end between two
                running = self.learnt.ended(self.rounds, alike, whole)
                if self.steps and not alike:
                    self.recorder.learner.broke(running * self.steps)

    @unheard
    def _leave(self) -> None:
        recorder = self.recorder
        self.on = self.brief = False  # before the position is read
        call, self.taken = self.current, self.at
        place = self.place
        if call is not self.round[place]:  # none, or the one that has just been done
            call = None
        self.opened = call
        self.sync()
        early = call is not None and call.early
        recorder.next_index = max(recorder.next_index, self.origin + self.taken + early)
        self.left = CLOCK.seconds if recorder.cadence.looking else None
        self.due = self.current = None
        recorder.learner.forget(spoiled=place > 0 or call is not None)
        recorder.learner.seq = self.seq
        try:
            settle(self)
            bring_up(recorder, self, place)
            if call is not None:
                self.token = reopen(recorder, self, call)
            self.tell(place)
            if call is None and self.learnt.lone:
                recorder.learner.go_on(self.whole_told, self.begun_told)
            self.whole_told, self.begun_told = [], []
            if call is None and not place:
                recorder.learner.rested.left(self)
        except Exception as error:
            note(recorder, "steady", error)

    @unheard
    def tell(self, done: int) -> None:
        """Tell the whole rounds that were not told yet: a Repeat, and the events of the last; and
        the first calls of the round begun, so many."""
        hear = self.recorder.tell
        size, times, base = self.size, self.rounds - self.told + self.more[1], self.base
        now, before = self.rounds & 1, (self.rounds - 1) & 1
        step = self.started + self.rounds * self.steps
        self.told = self.rounds
        if times:
            start, step_then = base - size, step - self.steps
            if times > 1:
                counted = Repeat(
                    start - 1, step_then, None, size, times - 1, self.steps, dict(self.learnt.kinds)
                )
                hear(counted)
            self.whole_told = []
            for place, call in enumerate(self.round):
                event = self._one(hear, call, start + place, step_then, call.kept[before])
                self.whole_told.append((call, event, self.rounds))
                step_then += isinstance(event, Step)
        for place, call in enumerate(self.round[:done]):
            event = self._one(hear, call, base + place, step, call.kept[now])
            self.begun_told.append((call, event, self.rounds))
            step += isinstance(event, Step)

    def _one(
        self, hear: Callable[[Event], None], call: Call, index: int, step: int, value: Any
    ) -> Event:
        event = self.again(call, index, step, value)
        failures = self.recorder.failures
        if call.form == "forward":
            failures.forward = event  # type: ignore[assignment]
            if event.recorded:
                failures.recorded, failures.decorated = event, None  # type: ignore[assignment]
        hear(event)
        return event  # type: ignore[no-any-return]

    def again(self, call: Call, index: int, step: int, value: Any) -> Any:
        """The Event of a call of a counted round. What it says of the round before is moved by as
        much as that round was."""
        base = index - call.place
        if base > self.origin:
            return self.learnt.again(call, index, step, value, self.learnt, base - self.size)
        return self.learnt.again(call, index, step, value, self.earlier, self.newest)
