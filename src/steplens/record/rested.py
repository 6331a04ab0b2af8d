"""Rested: rounds that were left when they were whole, at the end of an epoch for one. As long as
nothing has touched what they leave behind, they are counted on from their first call: no step and
no batch of an evaluation has to be told in full at each turn."""

from typing import TYPE_CHECKING, Any

from steplens.model.event import Batch, Cut, Drift, Event, Forward, GradMode, Mode, Schedule, Values
from steplens.record.counters import sequence_now
from steplens.record.repertoire import Learnt
from steplens.record.rounds import Call, there
from steplens.record.silence import SILENCE

if TYPE_CHECKING:
    from steplens.record.recorder import Recorder
    from steplens.record.steady import Steady

# what may come between: nothing that writes a gradient, a parameter or an optimizer's state
HARMLESS = (Batch, Mode, GradMode, Schedule, Values, Cut, Drift)


class Rested:
    """The rounds that may be counted on, each with the first event of the last one."""

    def __init__(self) -> None:
        self.rounds: dict[Learnt, int] = {}
        self.disturbed = False  # what the rounds with steps have left may be gone

    def left(self, steady: "Steady") -> None:
        """The counting has ended between two rounds, and the last was whole."""
        learnt, rounds = steady.learnt, steady.rounds
        if not rounds or learnt.exchanged or not (learnt.steps or learnt.bare):
            return
        for call in learnt.stepping:
            call.versions = [
                at + rounds * by for at, by in zip(call.versions, call.grown, strict=True)
            ]
            call.written, call.unread = call.counters(), 0
        known = steady.recorder.learner.repertoire.rounds
        for other in [*self.rounds]:
            if (other.steps and (learnt.steps or self.disturbed)) or other not in known:
                del self.rounds[other]
        self.disturbed = False
        self.rounds[learnt] = steady.base - steady.size

    def told(self, event: Event) -> None:
        """Something was told in full."""
        if not isinstance(event, HARMLESS) and (not isinstance(event, Forward) or event.recorded):
            self.disturbed = True

    def take_up(self, recorder: "Recorder", form: str, thing: Any) -> Call | None:
        """The call that is about to be made, if it is the first of such a round, which is counted
        from here on; to be called where the probe would compare it."""
        local, learner, cadence = recorder.local, recorder.learner, recorder.cadence
        if local.depth or local.backward >= 0 or local.stepping >= 0 or SILENCE.quiet:
            return None
        if cadence.looking or cadence.step < cadence.window or recorder.detail.open:
            return None
        if not (recorder.active and learner.enabled):
            return None
        with learner.steady.lock:
            nodes = sequence_now() - learner.seq
            for learnt, newest in () if learner.steady.on else self.rounds.items():
                call = learnt.calls[0]
                if (
                    not (self.disturbed and learnt.steps)  # one without leaves nothing
                    and call.form == form
                    and call.ref() is thing
                    and call.before == nodes
                    and there(call)
                    and _as_left(learnt)
                    and learner.take_up(learnt, newest)
                ):
                    return learner.steady.due
        return None


def _as_left(learnt: Learnt) -> bool:
    """Whether the gradients are those that the last round left, written as often."""
    for call in learnt.stepping:
        for account in call.accounts:
            tensor = account.ref()
            gradient = tensor.grad if tensor is not None else None
            if gradient is None:
                if account.grad_id:
                    return False
            elif (id(gradient), gradient._version) != (account.grad_id, account.grad_version):
                return False
    return True
