"""Learner: finds the rounds of calls that repeat exactly, so that they can be counted.

A round is the calls up to a step, or up to the last of some steps, that come again and again. While
calls are told in full, what each was is kept; when two rounds running were alike, the counting
begins (``steady``). A critic's step comes five times, then one of its generator: the five are alike
as well, and counting them would end at the sixth each time. When that has happened, more steps are
gone through in full, and a round is what repeats through all of them. Forwards that repeat without
a step among them, as in a rollout or an evaluation, are counted in the same way (``recurring``).
"""

import os
import sys
from collections.abc import Sequence
from threading import get_ident
from typing import TYPE_CHECKING, Any

from steplens.model.event import Clear, Cut, Drift, Event, Scale, Step, Values
from steplens.record.account import Account
from steplens.record.counters import sequence_now
from steplens.record.heap import Heap
from steplens.record.here import Here
from steplens.record.ledger import NORMS
from steplens.record.recurring import Recurring
from steplens.record.repertoire import Learnt, Repertoire, same
from steplens.record.rested import Rested
from steplens.record.returns import Returns
from steplens.record.rounds import Call, chain
from steplens.record.silence import heard

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.steady import Steady

LONGEST = 16  # steps in one round
AT_ONCE = 2  # steps after which a round of one may be counted
CALLS = 256  # in one round
# events of other probes that a round may hold
CALM = ("batch", "schedule", "grad-mode", "mode", "load")
APART = (Values, Cut, Drift)  # readings, which belong to no round
MANY = 64  # calls without a step that are told in full before any are counted
MISSED = 4  # steps that ended no round, after which fewer are
LOST = 48  # the same, while rounds may still come again
PACKAGE = os.path.dirname(__file__) + os.sep
frame_at = sys._getframe


class Learner:
    """Learns rounds of one thread's calls while they are told in full."""

    def __init__(self, recorder: "Recorder", steady: "Steady") -> None:
        self.recorder = recorder
        self.local = recorder.local
        self.steady = steady
        self.enabled = True
        self.here = Here(recorder)  # of the thread that is learnt from
        self.calls: list[Call] = []
        self.recurring = Recurring()
        self.missed = 0  # steps running that ended no round
        self.spoiled = True
        self.past: list[tuple[Call, ...]] = []  # the calls up to each of the last steps
        self.apart: list[int] = []  # indices of the last readings
        self.patience = AT_ONCE  # steps gone through in full before a new round is counted
        self.repertoire = Repertoire()
        self.returns = Returns()
        self.rested = Rested()
        self.heap = Heap()
        self.broken = 0  # countings that soon ended at a difference
        self.bearable = 2  # how many of those there may be until a longer round is looked for
        self.seq = 0  # sequence number when the last call ended

    def forget(self, spoiled: bool) -> None:
        """Learn anew; the round begun is of no use where it is ``spoiled``."""
        self.past.clear()
        self.calls, self.spoiled = [], spoiled
        self.recurring.forget()

    def go_on(
        self, whole: Sequence[tuple[Call, Event, int]], begun: Sequence[tuple[Call, Event, int]]
    ) -> None:
        """The counting has ended between two calls: the last whole round, and what has been told of
        the one begun, are as if they had been told in full."""
        if not (whole and self.enabled and self.returns.on and self.patience == AT_ONCE):
            return
        if not self.recorder.lifetimes.calm:
            return
        last, first = (
            [call.told(event, self.apart, rounds) for call, event, rounds in each]
            for each in (whole, begun)
        )
        ends = [place + 1 for place, call in enumerate(last) if call.form == "step"]
        self.past = [tuple(last[a:b]) for a, b in zip([0, *ends], ends, strict=False)]
        self.calls, self.spoiled = first, False

    def broke(self, steps: int) -> None:
        """The counting has ended at a call that differed, after so many steps running."""
        if steps >= LONGEST:
            return
        self.broken += 1
        if self.broken >= self.bearable:
            self.broken, self.patience, self.repertoire.open = 0, 2 * LONGEST, False

    def bears(self, steps: int) -> bool:
        """Whether rounds that were counted may be left for others that are known, after so many
        steps running: not where a longer round is to be looked for."""
        return steps >= LONGEST or self.broken + 1 < self.bearable

    def describe(self, form: str, thing: Any) -> Call | None:
        """A call begins that is told in full; None where nobody learns from it."""
        if not self.enabled or self.recorder.detail.open:
            return None
        frame: Any = frame_at(1)
        while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
            frame = frame.f_back
        call = Call(form, thing, chain(self.recorder.places, frame))
        call.depth += form in ("forward", "step")  # compared one function deeper
        call.before = sequence_now() - self.seq
        return call

    def note(self, event: Event) -> None:
        """An Event told in full; ``described``, which each thread has for itself, is the call that
        gave it."""
        self.rested.told(event)
        if not self.enabled or self.recorder.detail.open:
            return
        if isinstance(event, APART):
            self.apart.append(event.index)
            del self.apart[: -2 * CALLS]
            return
        call, self.local.described = self.local.described, None
        with self.steady.lock:  # not while another thread's calls begin to be learnt or counted
            if get_ident() == self.here.thread:
                self._note(event, call)
            else:  # what this thread does is learnt from now on
                self.here = Here(self.recorder)
                self.forget(spoiled=True)

    def _note(self, event: Event, call: Call | None) -> None:
        if call is None:
            local = self.local
            inside = local.depth or local.backward >= 0 or local.stepping >= 0
            if inside or event.site is None or event.__struct_config__.tag not in CALM:
                self.spoiled = True
                self.recurring.forget()
                return
            call = Call("other", None, None)
            call.fit, call.value = True, event
            call.before = sequence_now() - self.seq
        call.event, call.apart = event, self.apart
        call.looked = self.recorder.cadence.looking
        self.recurring.note(call)
        self.rested.disturbed |= not call.fit
        self.spoiled = self.spoiled or len(self.calls) == CALLS or not call.fit
        if self.spoiled:  # nothing is learnt until the next step, which may never come
            self.calls.clear()
        else:
            self.calls.append(call)
        self.seq = sequence_now()

    def forward_ended(self) -> None:
        """A forward, or the end of a block without recording, was told in full: does it end a round
        of calls that repeat without a step?"""
        calls = self.recurring.count
        if not self.enabled or not calls:
            return
        if self.past and self.patience > AT_ONCE and calls < MANY:
            return  # perhaps of a longer round, which has steps
        with self.steady.lock:
            if get_ident() != self.here.thread:
                return
            few = MISSED if not self.returns.on else LOST
            recorder = self.recorder
            turning = not recorder.step and recorder.cadence.step >= 2
            irregular = self.missed >= few or turning
            if not irregular and self.recurring.calls[-1].nodes:
                return  # more likely of a round with steps, of which it would be a part
            newest = list(self.recurring.calls)
            if any(self._again(each, newest) for each in self.repertoire.known(stepless=True)):
                return
            if irregular or self.recurring.total >= MANY:
                found = self.recurring.round(turning)
                if found is not None and self._repeat(*found):
                    self._learn(*found, 0)

    def _repeat(self, now: list[Call], before: list[Call]) -> bool:
        """Whether two rounds that were alike can be counted from here on."""
        return _unbroken(before) and _in_step(now, before) and self._fit(now)

    def step_ended(self) -> None:
        """A step was told in full, with all that follows from it: does a round repeat itself?"""
        if self.enabled:
            with self.steady.lock:
                if get_ident() == self.here.thread:
                    self._step_ended()

    def _step_ended(self) -> None:
        calls, self.calls = tuple(self.calls), []
        spoiled, self.spoiled = self.spoiled, False
        cadence = self.recorder.cadence
        early = cadence.looking or cadence.step < cadence.window
        self.missed += not early
        self.returns.step_told(len(calls), self.recorder.step)
        if spoiled or not calls or calls[-1].form != "step":
            if self.past:  # a longer round would not come whole
                self._hurry()
            self.past.clear()
            return
        self.past.append(calls)
        del self.past[: -2 * LONGEST]
        if early:
            return
        for learnt in self.repertoire.known(stepless=False):
            steps = learnt.steps
            if len(self.past) >= steps and self._again(learnt, self._last(0, steps)):
                self.missed = 0
                return
        if self._returned():
            return
        if len(self.past) < self.patience:
            return
        for steps in range(1, len(self.past) // 2 + 1):
            if not self._repeats(steps):
                continue
            now, before = self._last(0, steps), self._last(steps, steps)
            if _plain(now + before) and self._repeat(now, before):
                self._learn(now, before, steps)
                self.missed = 0
            return
        self._hurry()  # there is no longer round

    def _returned(self) -> bool:
        """Whether a round has come again that others came between; then it is learnt, and counted
        unless a longer one is looked for."""
        if self.patience > AT_ONCE and self.repertoire.open:
            return False  # one has been found
        if not self.returns.on or not self.recorder.lifetimes.calm:
            return False
        learnt = self.returns.come(self.past)
        if learnt is None or not learnt.lone or self.repertoire.has(learnt):
            return False
        now, before = list(learnt.calls), list(learnt.before)
        if not (_plain(now + before) and _unbroken(before) and self._fit(now)):
            return False
        if self.repertoire.blurred(learnt):
            self.returns.end()
            self.repertoire.drop()
            return False
        self.repertoire.add(learnt)
        if self.patience > AT_ONCE:
            self.repertoire.open = False
            return False
        self._begin(learnt, now[0].event.index)
        self.missed = 0
        return True

    def _hurry(self) -> None:
        """Count the shortest round again, and bear more countings that soon end."""
        if self.patience > AT_ONCE:
            self.patience, self.bearable = AT_ONCE, 4 * self.bearable
            self.repertoire.open = True

    def _repeats(self, steps: int) -> bool:
        """Whether a round of so many steps came twice, or came all the time."""
        past = self.past if self.patience > AT_ONCE else self.past[-2 * steps :]
        return all(map(same, past[steps:], past))

    def _again(self, learnt: Learnt, calls: Sequence[Call]) -> bool:
        """Whether the newest of these calls are a round that is known; then it is counted."""
        now = learnt.come(calls)
        if not now or not self._fit(now):
            return False
        learnt.renew(now)
        self._begin(learnt, now[0].event.index)
        return True

    def take_up(self, learnt: Learnt, newest: int) -> bool:
        """Whether a round that has rested since one of it began at the event ``newest`` is counted
        from its first call on, which is about to be made by the thread that is learnt from."""
        if get_ident() != self.here.thread or learnt not in self.repertoire.rounds:
            return False
        if self.patience > AT_ONCE and (self.past or learnt.steps):
            return False  # a longer one is looked for
        if not self._fit(learnt.calls, newest):
            return False
        self._begin(learnt, newest)
        self.steady.seq = self.seq
        self.steady.wake = self.steady.wake_at = 0  # the first round is told as it ends
        self.calls, self.missed = [], 0
        self.recurring.forget()
        return True

    def _learn(self, now: list[Call], before: list[Call], steps: int) -> None:
        learnt = Learnt(now, before, steps)
        self.repertoire.add(learnt)
        self._begin(learnt, now[0].event.index)

    def _begin(self, learnt: Learnt, newest: int) -> None:
        self.heap.tidy()
        if self.past and not learnt.steps:  # a longer round would not come whole
            self._hurry()
        self.past.clear()
        self.rested.disturbed |= learnt.steps > 0  # until it is left whole
        self.steady.take(learnt)
        self.steady.begin(self.here, newest)

    def _last(self, skipped: int, steps: int) -> list[Call]:
        end = len(self.past) - skipped
        return [call for calls in self.past[end - steps : end] for call in calls]

    def _fit(self, calls: Sequence[Call], newest: int = -1) -> bool:
        """Whether a further round like this would find every probe as this one did, or the
        ``newest`` such round, which began at that event."""
        recorder = self.recorder
        first = newest if newest >= 0 else calls[0].event.index
        if (
            not _unbroken(calls)
            or heard()
            or recorder.stillness.reached(calls)
            or recorder.detail.placing.undo is not None
            or recorder.registrations.partings
            or recorder.replacements.open
            or recorder.replacements.loaded
            or recorder.effects.anew()
            or recorder.opposition.open
            or recorder.values.due
            or recorder.values.pending
            or recorder.steps.pending
            or recorder.forwards.idle.alive
            or recorder.not_seen
            or recorder.lifetimes.rising(sum(call.form == "step" for call in calls) or 1)
            or recorder.batches.left.batch
            or recorder.bystanders.room(recorder.cadence)
            < sum(call.form == "backward" for call in calls)
        ):
            return False
        scaling = recorder.scaling
        if (scaling.on or scaling.losses) and not any(type(c.event) is Scale for c in calls):
            return False
        for call in calls:
            if call.form == "clear" and recorder.ledger.norms_read < NORMS and _wasted(call.event):
                return False  # the norm of what is lost would be read
            if call.form == "step" and not (_new(call.event) and _within(call.event)):
                return False
            for account in call.accounts:
                held = account.holding
                if not held.known or (account.rewritten is held and held.contributions):
                    return False
                older = any(one.backward < first for one in held.contributions)
                if older and not (call.form == "backward" and self._gathers(account)):
                    return False
        return True

    def _gathers(self, account: Account) -> bool:
        """Whether a leaf is no parameter, and nobody moves it by what its gradient gathers: the
        points of a differential equation, which stay the same."""
        moved = self.recorder.handmade.rounds.get(account.number)
        return not moved and self.recorder.strays.asked_for(account)


def _wasted(clear: Clear) -> bool:
    """Whether gradients were lost that no step had used at all."""
    return any(not any(c.used_by for c in share.holds) for share in clear.lost)


def _new(step: Step) -> bool:
    """Whether a step used gradients, and none that a step had used before."""
    return bool(step.uses) and not any(share.holds[-1].used_by for share in step.uses)


def _within(step: Step) -> bool:
    """Whether what the ranks exchanged, if anything, was exchanged within backward passes."""
    return step.exchange is None or step.exchange.within > 0


def _plain(calls: list[Call]) -> bool:
    return not any(call.looked for call in calls)


def _unbroken(calls: Sequence[Call]) -> bool:
    """Whether nothing else was told between these calls."""
    return calls[-1].event.index - calls[0].event.index == len(calls) - 1


def _in_step(now: list[Call], before: list[Call]) -> bool:
    """Whether both made as many graph nodes in and between their calls."""
    pairs = zip(now, before, strict=True)
    return all(a.before == b.before and a.nodes == b.nodes for a, b in pairs)
