"""Steady: once the calls of a loop repeat exactly, they are compared and counted, not told anew.

A round is the calls up to a step, or up to the last of some steps, that come again and again. When
two rounds running were alike, each further call is only compared with the one that is due: the
same object, from the same instruction of the user's code, as many graph nodes made since the call
before, the same modes, the same tensors with the write counters that are due. While all holds, no
Event is built and no rule is asked. At the first call that differs, when a look is due, and when
the Report is asked for, what was counted is told: a Repeat, the events of the last whole round, and
those of the round begun; and the Ledger and the probes are brought to where they would have been.

What only a walk of the graph or a look at values can show is seen on the cadence, at rounds told in
full. The loss is read at each backward where that waits for nothing.
"""

import os
import sys
from collections import deque
from collections.abc import Callable
from threading import RLock, get_ident
from time import perf_counter
from typing import TYPE_CHECKING, Any

from steplens.model.event import Clear, Cut, Drift, Event, Repeat, Step, Values
from steplens.record.ledger import NORMS
from steplens.record.resume import bring_up, reopen
from steplens.record.rounds import Call, chain, counts, likeness, made
from steplens.record.short import sequence_now
from steplens.record.silence import heard, unheard
from steplens.record.stopwatch import CLOCK
from steplens.record.wrap import note

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder

LONGEST = 8  # steps in one round
CALLS = 256  # in one round
CALM = ("batch", "schedule", "grad-mode", "mode")  # events of other probes that a round may hold
APART = (Values, Cut, Drift)  # readings, which belong to no round
TELL = 1.0  # seconds after which what was counted is told
PACKAGE = os.path.dirname(__file__) + os.sep
frame_at = sys._getframe


class Here:
    """What the probes keep of one thread; any other may have to bring it up to date."""

    __slots__ = ("fresh", "local", "pending", "recent", "thread")

    def __init__(self, recorder: "Recorder") -> None:
        self.thread = get_ident()
        self.local: dict[str, Any] = recorder.local.__dict__  # that of this thread
        self.recent: deque[tuple[int, int, int]] = recorder.forwards.recent
        self.pending: list[Any] = recorder.steps.pending
        self.fresh: dict[int, int] = recorder.ledger.fresh


class Steady:
    """Learns rounds while calls are told in full, and counts them while they repeat.

    One thread's calls are counted. A call on another one ends the counting, whatever the first is
    doing: ``lock`` is held wherever one call gives way to the next.
    """

    def __init__(self, recorder: "Recorder") -> None:
        self.recorder = recorder
        self.local = recorder.local
        self.enabled = True
        self.on = False
        self.lock = RLock()
        self.here = Here(recorder)  # of the thread that is learnt from, or counted
        # learning
        self.calls: list[Call] = []
        self.spoiled = True
        self.seq = 0  # sequence number when the last call ended
        self.past: list[tuple[Call, ...]] = []
        self.described: Call | None = None
        # counting
        self.round: tuple[Call, ...] = ()
        self.steps = 0  # in one round
        self.kinds: dict[str, int] = {}
        self.floor = 0  # indices from here on belong to the rounds
        self.due: Call | None = None  # while rounds are counted
        self.first: Call | None = None
        self.times = 0  # rounds since they were last told
        self.rounds = 0  # rounds since the counting began
        self.wake = self.wake_at = 0.0  # when a look or a word is due: the time, the step
        self.owner = 0  # the thread whose calls are counted
        self.base = self.origin = 0  # index of the first event of this round, of the first round
        self.newest = 0  # and of the last round told in full
        self.current: Call | None = None
        self.feeds = False  # whether a forward of the round is given what another gave
        self.token: Any = None  # what the probe's `after` needs when that call turns out to differ
        self.roots: Any = ()
        self.loss: float | None = None
        self.strange: tuple[int, ...] = ()  # tensors whose gradients somebody wrote
        self.left: float | None = None  # what our work had come to when a look ended the counting

    # -- learning -----------------------------------------------------------------------------

    def describe(self, form: str, thing: Any) -> Call | None:
        """A call begins that is told in full; None where nobody learns from it."""
        if not self.enabled or self.recorder.detail.open:
            return None
        frame: Any = frame_at(1)
        while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
            frame = frame.f_back
        call = Call(form, thing, chain(self.recorder.places, frame))
        call.depth += form == "forward"  # compared one function deeper
        call.before = sequence_now() - self.seq
        return call

    def note(self, event: Event) -> None:
        """An Event told in full; ``described`` is the call that gave it."""
        if not self.enabled or isinstance(event, APART) or self.recorder.detail.open:
            return
        call, self.described = self.described, None
        if get_ident() != self.here.thread:  # another thread: what it does is learnt from now on
            self.here = Here(self.recorder)
            self.calls, self.spoiled = [], True
            self.past.clear()
            return
        if call is None:
            local = self.local
            inside = local.depth or local.backward >= 0 or local.stepping >= 0
            if inside or event.site is None or event.__struct_config__.tag not in CALM:
                self.spoiled = True
                return
            call = Call("other", None, None)
            call.fit, call.value = True, event
            call.before = sequence_now() - self.seq
        call.event = event
        call.looked = self.recorder.cadence.looking
        self.calls.append(call)
        self.spoiled = self.spoiled or len(self.calls) > CALLS or not call.fit
        self.seq = sequence_now()

    def step_ended(self) -> None:
        """A step was told in full, with all that follows from it: does a round repeat itself?"""
        if not self.enabled or get_ident() != self.here.thread:
            return
        calls, self.calls = tuple(self.calls), []
        spoiled, self.spoiled = self.spoiled, False
        if spoiled or not calls or calls[-1].form != "step":
            self.past.clear()
            return
        self.past.append(calls)
        del self.past[: -2 * LONGEST]
        cadence = self.recorder.cadence
        if cadence.looking or cadence.step < cadence.window:
            return
        if self.round and len(self.past) >= self.steps:
            now = self._last(0, self.steps)
            if _same(now, self.round) and self._fit(now):
                for call, newer in zip(self.round, now, strict=True):
                    call.versions, call.written = newer.versions, newer.written
                    call.rates, call.value = newer.rates, newer.value
                self._begin(now[0].event.index)
                return
        for steps in range(1, len(self.past) // 2 + 1):
            now, before = self._last(0, steps), self._last(steps, steps)
            if _same(now, before):
                if _plain(now) and _plain(before) and _in_step(now, before) and self._fit(now):
                    self._learn(now, before, steps)
                return

    def _last(self, skipped: int, steps: int) -> list[Call]:
        end = len(self.past) - skipped
        return [call for calls in self.past[end - steps : end] for call in calls]

    def _learn(self, now: list[Call], before: list[Call], steps: int) -> None:
        for place, (call, earlier) in enumerate(zip(now, before, strict=True)):
            call.place, call.next = place, now[(place + 1) % len(now)]
            call.grown = [a - b for a, b in zip(call.versions, earlier.versions, strict=True)]
            call.moved = [a - b for a, b in zip(call.written, earlier.written, strict=True)]
            call.nth = sum(one.form == "step" for one in now[:place])
        self.round, self.steps, self.kinds = tuple(now), steps, counts(now)
        self.floor = before[0].event.index
        self.feeds = any(call.form == "forward" and call.event.fed_by for call in now)
        self._begin(now[0].event.index)

    def _begin(self, newest: int) -> None:
        recorder = self.recorder
        self.newest, self.times, self.rounds = newest, 0, 0
        for call in self.round:
            call.due = [a + b for a, b in zip(call.written, call.moved, strict=True)]
        self.base = self.origin = recorder.next_index
        self.past.clear()
        self.seq = sequence_now()
        if self.left is not None:
            recorder.cadence.look.settle(CLOCK.seconds - self.left)
            self.left = None
        self._sleep()
        self.first = self.due = self.round[0]
        self.owner, self.on = self.here.thread, True

    def _sleep(self) -> None:
        now = perf_counter()
        cadence = self.recorder.cadence
        self.wake = min(now + TELL, cadence.look.when())
        self.wake_at = cadence.free_at()

    def _fit(self, calls: list[Call]) -> bool:
        """Whether a further round like this would find every probe as this one did."""
        recorder = self.recorder
        first = calls[0].event.index
        if calls[-1].event.index - first != len(calls) - 1:
            return False
        if (
            heard()
            or recorder.stillness.idle
            or recorder.detail.placing.undo is not None
            or recorder.registrations.partings
            or recorder.lifetimes.retained
            or recorder.scaling.on
            or recorder.scaling.losses
            or recorder.replacements.open
            or recorder.replacements.loaded
            or recorder.effects.suspects
            or recorder.values.due
            or recorder.values.pending
            or recorder.steps.pending
            or recorder.forwards.idle.alive
            or recorder.not_seen
            or recorder.lifetimes.rising
        ):
            return False
        for call in calls:
            if call.form == "clear" and recorder.ledger.norms_read < NORMS and _wasted(call.event):
                return False  # the norm of what is lost would be read
            if call.form == "step" and (not _new(call.event) or call.event.exchange is not None):
                return False
            for account in call.accounts:
                held = account.holding
                if not held.known or (account.rewritten is held and held.contributions):
                    return False
                if any(one.backward < first for one in held.contributions):
                    return False
        return True

    # -- counting -----------------------------------------------------------------------------

    @property
    def place(self) -> int:
        """How many calls of the round begun are done."""
        return self.due.place if self.due is not None else 0

    def elsewhere(self) -> bool:
        """Whether this is not the thread whose calls are counted; then the counting ends."""
        if get_ident() == self.owner:
            return False
        self.leave()
        return True

    def stepping(self) -> bool:
        """Whether this thread is within a step that is counted."""
        running = self.current
        return running is not None and running.form == "step" and get_ident() == self.owner

    def claim(self, call: Call) -> bool:
        """The call that is due begins, unless the counting has just ended."""
        with self.lock:
            if self.due is not call:
                return False
            self.current = call
            self.recorder.next_index += call.early
            return True

    def go_on(self, call: Call) -> None:
        """The call that was due has been made; go on to the next one. The lock is held."""
        self.recorder.next_index += not call.early
        self.current = None
        self.due = due = call.next
        if due is self.first:
            self.times += 1
            self.rounds += 1
            self.base += len(self.round)

    def takes(self, event: Event) -> bool:
        """Whether an Event of another probe is the one that is due; if not, the counting ends."""
        with self.lock:
            call = self.due
            if (
                call is not None
                and call.form == "other"
                and self.current is None
                and get_ident() == self.owner
                and type(event) is type(call.event)
                and event.index == self.base + call.place
                and sequence_now() - self.seq == call.before
                and likeness(event) == likeness(call.event)
            ):
                call.last, call.value = call.value, event
                self.go_on(call)
                return True
            self.leave()
        return False

    def step_done(self, call: Call) -> None:
        """A counted step has ended: is a look due, or a word of what was counted? Looks fall on the
        steps of a round in turn."""
        cadence, values = self.recorder.cadence, self.recorder.values
        cadence.step += 1
        if perf_counter() >= self.wake or cadence.step >= self.wake_at:
            if (call.nth + 1) % self.steps == cadence.looks % self.steps:
                cadence.step -= 1
                cadence.advance()
            if cadence.looking:
                self.leave()
            elif self.due is self.first:
                self._tell(0)
                self._sleep()
        if values.due:
            self.leave()

    # -- the end of counting --------------------------------------------------------------------

    def leave(self) -> None:
        """Tell what was counted, and go on in full. A call in progress becomes one told in full."""
        with self.lock:
            if self.on:
                self._leave()

    @unheard
    def _leave(self) -> None:
        recorder, call, place = self.recorder, self.current, self.place
        self.left = CLOCK.seconds if recorder.cadence.looking else None
        self.on, self.due, self.current = False, None, None
        self.past.clear()
        self.calls, self.spoiled = [], place > 0 or call is not None
        try:
            bring_up(recorder, self, place)
            if call is not None:
                self.token = reopen(recorder, self, call)
            self._tell(place)
        except Exception as error:
            note(recorder, "steady", error)

    @unheard
    def _tell(self, done: int) -> None:
        hear = self.recorder.tell
        size, times = len(self.round), self.times
        step = self.recorder.step - sum(c.form == "step" for c in self.round[:done])
        self.times = 0
        if times:
            base, step_then = self.base - size, step - self.steps
            if times > 1:
                counted = Repeat(
                    base - 1, step_then, None, size, times - 1, self.steps, dict(self.kinds)
                )
                hear(counted)
            for place, call in enumerate(self.round):
                value = call.last if place < done else call.value
                step_then = self._one(hear, call, base + place, step_then, value)
        for place, call in enumerate(self.round[:done]):
            step = self._one(hear, call, self.base + place, step, call.value)

    def _one(
        self, hear: Callable[[Event], None], call: Call, index: int, step: int, value: Any
    ) -> int:
        event = self.again(call, index, step, value)
        failures = self.recorder.failures
        if call.form == "forward":
            failures.forward = failures.recorded = event  # type: ignore[assignment]
            failures.decorated = None
        hear(event)
        return step + isinstance(event, Step)

    def again(self, call: Call, index: int, step: int, value: Any) -> Any:
        """The Event of a call of a counted round."""
        size, first = len(self.round), self.round[0].event.index
        gap = self.origin - self.newest - size if index < self.origin + size else 0
        return made(call, index, step, value, self.floor, first, gap)


def _wasted(clear: Clear) -> bool:
    """Whether gradients were lost that no step had used at all."""
    return any(not any(c.used_by for c in share.holds) for share in clear.lost)


def _new(step: Step) -> bool:
    """Whether a step used gradients, and none that a step had used before."""
    return bool(step.uses) and not any(share.holds[-1].used_by for share in step.uses)


def _same(now: list[Call], before: Any) -> bool:
    return len(now) == len(before) and all(map(Call.alike, now, before))


def _plain(calls: list[Call]) -> bool:
    return not any(call.looked for call in calls)


def _in_step(now: list[Call], before: list[Call]) -> bool:
    """Whether both made as many graph nodes in and between their calls."""
    pairs = zip(now, before, strict=True)
    return all(a.before == b.before and a.nodes == b.nodes for a, b in pairs)
