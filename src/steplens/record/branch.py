"""Branches: a loop that goes now one way, now another, by chance or by a condition. At a call that
is not the one due, another known round that begins as this one has begun is counted on: neither has
to be told in full once more. What was counted of each is told together."""

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from steplens.record.counters import parameters, sequence_now
from steplens.record.repertoire import Learnt
from steplens.record.resume import bring_up
from steplens.record.rounds import Call, same_steps, there
from steplens.record.silence import unheard
from steplens.record.wrap import note

if TYPE_CHECKING:
    from steplens.record.steady import Steady


def branch(steady: "Steady", form: str, thing: Any) -> Call | None:
    """The call of another round that has just begun, if there is one, which is counted on; what was
    counted until here is kept (``Position``), and told later. None ends the counting.

    To be called where ``there`` is, by the owner; whether the call does what it is to do is for the
    caller to compare.
    """
    with steady.lock:
        if steady.current is not None or not _may(steady):
            return None
        nodes = sequence_now() - steady.seq
        deeper = 3 - (form in ("forward", "step"))  # whose `there` is called by another function

        def begun(call: Call) -> bool:
            return (
                call.form == form
                and call.ref() is thing
                and (steady.brief or nodes == call.before)
                and there(call, deeper)
            )

        return _other(steady, begun)


def branch_within(steady: "Steady", due: Call, nodes: int) -> Call | None:
    """The forward of another round that the one in progress turns out to be, by the nodes that it
    has made; as ``branch``."""
    with steady.lock:
        if steady.current is not due or not _may(steady):
            return None
        began = due.seq

        def ended(call: Call) -> bool:
            alike = call.akin(due) and call.said() == due.said() and call.flags == due.flags
            return alike and call.nodes == nodes and call.before == due.before

        call = _other(steady, ended)
        if call is not None:
            call.seq, steady.current = began, call
        return call


def _may(steady: "Steady") -> bool:
    """Whether the round in progress may be left for another at this call."""
    if not steady.on or not steady.learnt.lone:
        return False
    index, place = steady.origin + steady.at, steady.place
    if steady.branched == index:
        return True
    steady.tried = {steady.learnt.codes[place]}
    running = (steady.learnt.running + steady.rounds + 1) * steady.steps
    stepped = any(call.form == "step" for call in steady.round[:place])
    return not stepped and steady.recorder.learner.bears(running)


def _other(steady: "Steady", fits: Callable[[Call], bool]) -> Call | None:
    """The call at this place of a round that begins alike, if it fits."""
    place = steady.place
    for learnt in steady.recorder.learner.repertoire.known(stepless=False):
        if not learnt.lone or len(learnt.calls) <= place or learnt.codes[place] in steady.tried:
            continue
        call = learnt.calls[place]
        if fits(call) and _alike(steady, learnt, place):
            steady.tried.add(learnt.codes[place])
            try:
                _take(steady, learnt, place)
            except Exception as error:
                note(steady.recorder, "steady", error)
                return None
            return call
    return None


def _alike(steady: "Steady", learnt: Learnt, place: int) -> bool:
    """Whether another round steps the same tensors, and begins as the one in progress has."""
    own = steady.learnt
    return (
        learnt.codes[:place] == own.codes[:place]
        and learnt.steps == own.steps
        and learnt.touched == own.touched
        and (learnt.feeds == own.feeds or all(call.form != "forward" for call in own.calls[:place]))
        and same_steps(learnt.stepping, own.stepping)
    )


class Position:
    """Where the counting stands, to be put back; or, ``whole``, where it stood when the last whole
    round had ended."""

    NAMES = (
        "at", "earlier", "learnt", "more", "newest", "opened", "origin", "started", "strange",
        "taken", "told",
    )  # fmt: skip

    def __init__(self, steady: "Steady", whole: bool = False) -> None:
        self.state: dict[str, Any] = {name: getattr(steady, name) for name in self.NAMES}
        back = 0
        if whole:
            at = steady.rounds * steady.size
            self.state |= {"at": at, "taken": at, "opened": None, "strange": (), "more": (0, 0)}
            back = sum(call.before + call.nodes for call in steady.round)
        self.calls = [
            (call.seq - back * (call.place < steady.place), call.kept[:], call.written, call.unread)
            for call in steady.round
        ]

    @property
    def learnt(self) -> Learnt:
        """The round."""
        found: Learnt = self.state["learnt"]
        return found

    @property
    def rounds(self) -> int:
        """How many whole rounds were counted, with those before others."""
        whole: int = self.state["more"][0] + self.state["at"] // len(self.learnt.calls)
        return whole

    @property
    def untold(self) -> int:
        """How many of them are still to be told."""
        whole: int = self.state["at"] // len(self.learnt.calls)
        left: int = self.state["more"][1] + whole - self.state["told"]
        return left

    def put(self, steady: "Steady") -> None:
        """Put it back."""
        for name, value in self.state.items():
            setattr(steady, name, value)
        steady.take(steady.learnt)
        for call, (seq, kept, written, unread) in zip(steady.round, self.calls, strict=True):
            call.seq, call.kept[:], call.written, call.unread = seq, kept, written, unread


def settle(steady: "Steady") -> None:
    """Tell the rounds that were left for others, in the order in which the last ones came."""
    runs, steady.runs = steady.runs, []
    if runs:
        now = Position(steady)
        for run in runs:
            run.put(steady)
            bring_up(steady.recorder, steady, 0)
            steady.tell(0)
        now.put(steady)


@unheard
def _take(steady: "Steady", learnt: Learnt, place: int) -> None:
    """Keep the whole rounds, and count the other from the call at this place on."""
    recorder, old = steady.recorder, steady.learnt
    rounds, base, now, wake = steady.rounds, steady.base, steady.rounds & 1, steady.wake
    steady.sync()
    began = [(call.seq, call.kept[now]) for call in old.calls[:place]]
    if rounds:
        run = Position(steady, whole=True)
        for other in steady.runs:
            if other.learnt is old:
                steady.runs.remove(other)
                run.state["more"] = other.rounds, other.untold
                break
        steady.runs.append(run)
        steady.earlier, steady.newest = old, base - steady.size
    recorder.learner.broke(old.ended(rounds, alike=False, whole=True) * old.steps)
    steady.take(learnt)
    steady.origin, steady.at, steady.told = base, place, 0
    steady.started = steady.synced = recorder.step
    for call, (seq, value) in zip(learnt.calls[:place], began, strict=True):
        call.seq, call.kept[0] = seq, value
    for step, before in zip(learnt.stepping, old.stepping, strict=True):
        step.rates, step.way, step.top = before.rates, before.way, before.top
        step.written, step.unread = [one._version for one in parameters(step.ref())], 0
        if any(step.grown):  # as they were at the last step
            grown = zip(before.versions, before.grown, strict=True)
            step.versions = [then + rounds * by for then, by in grown]
    if steady.brief:  # the nodes made until here were not counted
        steady.seq = sequence_now() - learnt.calls[place].before
    steady.brief, steady.whole = False, (0, perf_counter())
    steady.branched = base + place
    learnt.strict = True
    steady.sleep()
    steady.wake = min(wake, steady.wake)  # or rounds that soon end would never be told
    steady.due = learnt.calls[place]
