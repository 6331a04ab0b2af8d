"""Idle steps: steps that had nothing new to use, and what became of what they should have used."""

from typing import NamedTuple

from steplens.model.event import Backward, Clear, Forward, GradCall, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site

KEPT = 32  # forwards whose backward may still come
REPEATED = 2
SITES = 128  # backward passes whose line is remembered


class Idle(NamedTuple):
    """A step for which no backward since the optimizer's last step left a contribution.

    ``kind`` is cleared (contributions were cleared before it), early (the backward of a forward
    made before it came after it), again (it used what the last step had used), momentum (it moved
    parameters without a gradient), nothing (it moved none, and no backward ran since the last
    step) or ungiven (it moved none, and ``autograd.grad`` computed gradients of its parameters).
    ``first`` is the step number at which this began, ``times`` how often in a row.
    """

    kind: str
    step: Step
    first: int
    times: int
    clear: Clear | None = None
    forward: Forward | None = None
    last: Step | None = None


class Row:
    """The idle steps in a row of one optimizer."""

    __slots__ = ("first", "times", "awaited")

    def __init__(self, first: int) -> None:
        self.first = first
        self.times = 0
        self.awaited: Forward | None = None  # a forward whose backward had not come yet


class IdleSteps:
    """Follows forwards, backward passes, clears and steps, and tells idle steps from the others.

    A step with a gradient that somebody wrote by hand is not idle. The first step of an optimizer
    never is: it may set up its state.
    """

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.last: dict[int, Step] = {}
        self.lost: dict[int, Clear] = {}
        self.rows: dict[int, Row] = {}
        self.fed: set[int] = set()  # optimizers whose tensors have had a contribution
        self.waiting = Newest[int, Forward](KEPT)  # with a graph that no backward has reached
        self.sites = Newest[int, Site | None](SITES)
        self.finite: dict[Site | None, bool] = {}  # the lines that clear, and what they cleared
        self.repeated: dict[int, int] = {}  # optimizer -> steps that used old gradients, see _kind
        self.latest = -1  # index of the newest backward or autograd.grad
        self.computed: GradCall | None = None  # the newest autograd.grad

    def forward(self, event: Forward) -> None:
        if event.recorded and event.training:
            self.waiting[event.index] = event

    def backward(self, event: Backward | GradCall) -> None:
        self.latest = event.index
        for forward in event.forwards:
            self.waiting.pop(forward, None)
        if isinstance(event, GradCall):
            self.computed = event
        else:
            self.sites[event.index] = event.site

    def clear(self, event: Clear) -> None:
        """Remember a clear that threw away contributions no step has used, finite ones. Where the
        norm was not read it counts if all that were read at this line were finite."""
        unused = [share for share in event.lost if not share.holds[-1].used_by]
        if not unused:
            return
        if event.norm is None:
            self.finite[event.site] = False
            return
        if event.norm >= 0 or event.by == "hand":
            self.finite.setdefault(event.site, True)
        elif not self.finite.get(event.site):
            return
        if event.by == "optimizer":
            self.lost[event.owner] = event
            return
        tensors = {tensor for share in unused for tensor in share.tensors}
        for number, entry in self.roster.optimizers.items():
            if not tensors.isdisjoint(entry.tensors):
                self.lost[number] = event

    def step(self, event: Step) -> Idle | None:
        """What is to be said of this step, None when it had something new to use."""
        number = event.optimizer
        last, self.last[number] = self.last.get(number), event
        lost = self.lost.pop(number, None)
        since = last.index if last is not None else -1
        if event.skipped or event.unknown:
            self.rows.pop(number, None)
            return None
        if any(share.holds[-1].backward > since for share in event.uses):
            self.rows.pop(number, None)
            self.fed.add(number)
            return None
        if lost is not None:
            self.fed.add(number)
        forward = self._awaited(number, since)
        kind = self._kind(event, last, lost, forward)
        if not kind:
            return None
        row = self.rows.setdefault(number, Row(event.step + 1))
        row.times += 1
        if kind == "cleared" and row.awaited is not None and row.awaited.index not in self.waiting:
            kind = "early"
        row.awaited = forward
        if last is None:
            return None
        return Idle(kind, event, row.first, row.times, lost, forward, last)

    def _kind(
        self, event: Step, last: Step | None, lost: Clear | None, forward: Forward | None
    ) -> str:
        if lost is not None:
            return "cleared"
        if event.uses:
            elsewhere = last is not None and last.site != event.site
            if elsewhere or forward is not None:
                return "again"
            # at the same line, with a backward of something else between, and not for once
            between = last is not None and self.latest > last.index
            times = self.repeated[event.optimizer] = self.repeated.get(event.optimizer, 0) + between
            return "again" if between and times >= REPEATED else ""
        if event.moved and event.optimizer in self.fed:
            return "momentum"
        ran = last is not None and self.latest > last.index
        never = event.optimizer not in self.fed and not event.moved
        if ran and never and self._ungiven(event, last):
            return "ungiven"
        return "nothing" if forward is not None and not event.moved and not ran else ""

    def _ungiven(self, event: Step, last: Step | None) -> bool:
        """Whether the newest of what went backward since the last step was an ``autograd.grad`` for
        all tensors of an optimizer that has never had a gradient."""
        call = self.computed
        if call is None or last is None or call.index != self.latest or call.create_graph:
            return False
        tensors = self.roster.optimizers[event.optimizer].tensors
        return bool(tensors) and {*tensors} <= {*call.leaves}

    def _awaited(self, optimizer: int, since: int) -> Forward | None:
        """A forward through this optimizer's tensors, since its last step, that no backward has
        reached."""
        recent = [event for index, event in self.waiting.items() if index > since]
        if not recent:
            return None
        tensors = self.roster.optimizers[optimizer].tensors
        roots = {self.roster.tensors[tensor].root for tensor in tensors} - {-1}
        for event in reversed(recent):
            if self.roster.modules[event.module].root in roots:
                return event
        return None
