"""Idle steps: steps that had nothing new to use, and what became of what they should have used."""

from typing import NamedTuple

from steplens.model.event import Backward, Clear, Forward, GradCall, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.awaited import Awaited
from steplens.rules.cleared import Cleared
from steplens.rules.fleeting import keeps_moments
from steplens.rules.timed import Timed

REPEATED = 2
OFTEN = 3  # steps passed over that count though others lie between, where they are half of all
BETWEEN = 8  # steps with old gradients, as many as half of all, between forwards without grad
SITES = 128  # backward passes whose line is remembered


class Idle(NamedTuple):
    """A step for which no backward since the optimizer's last step left a contribution.

    ``kind`` is cleared (contributions were cleared before it), early (the backward of a forward
    made before it came after it), again (it used what the last step had used), elsewhere (so did
    it, at another line), timed (at that line it goes on, so that it was meant), momentum (it moved
    parameters without a gradient), nothing (it moved none, and no backward ran since the last
    step), unmade (it moved none, and none ran since its forward went on through another model) or
    ungiven (it moved none, and ``autograd.grad`` computed gradients of its parameters).
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
        self.rows: dict[int, Row] = {}
        self.fed: set[int] = set()  # optimizers whose tensors have had a contribution
        self.awaited = Awaited(roster)
        self.cleared = Cleared(roster)
        self.sites = Newest[int, Site | None](SITES)
        self.repeated: dict[int, int] = {}  # optimizer -> steps that used old gradients, see _kind
        self.acted = Newest[int, int](SITES)  # outermost module -> its newest forward without grad
        self.between: dict[int, int] = {}  # optimizer -> steps with old gradients after such
        self.timed: dict[int, Timed] = {}
        self.passed: dict[int, tuple[int, int]] = {}  # optimizer -> first such, and how many
        self.steps: dict[int, int] = {}  # optimizer -> its steps
        self.latest = -1  # index of the newest backward or autograd.grad
        self.computed: GradCall | None = None  # the newest autograd.grad

    def forward(self, event: Forward) -> None:
        self.awaited.forward(event)
        if not event.grad:
            self.acted[self.roster.modules[event.module].root] = event.index

    def backward(self, event: Backward | GradCall) -> None:
        self.latest = event.index
        self.awaited.backward(event)
        if isinstance(event, GradCall):
            self.computed = event
        else:
            self.sites[event.index] = event.site

    def clear(self, event: Clear) -> None:
        self.cleared.clear(event)

    def step(self, event: Step) -> Idle | None:
        """What is to be said of this step, None when it had something new to use."""
        number = event.optimizer
        last, self.last[number] = self.last.get(number), event
        lost = self.cleared.step(number)
        self.steps[number] = self.steps.get(number, 0) + 1
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
        forward = self.awaited.of(number, since)
        kind = self._kind(event, last, lost, forward)
        if not kind:
            return None
        row = self.rows.setdefault(number, Row(event.step + 1))
        row.times += 1
        if kind == "cleared" and row.awaited is not None and row.awaited not in self.awaited:
            kind = "early"
        row.awaited = forward
        if last is None:
            return None
        first, times = row.first, row.times
        if kind in ("nothing", "unmade"):
            first, times = self._passed_over(event, row)
        if kind == "unmade" and forward is not None:
            forward = self.awaited.behind(forward)
        return Idle(kind, event, first, times, lost, forward, last)

    def _passed_over(self, event: Step, row: Row) -> tuple[int, int]:
        """Since when and how often steps were passed over: in a row, or half of all (a backward
        under an ``if``)."""
        first, times = self.passed.get(event.optimizer, (event.step + 1, 0))
        self.passed[event.optimizer] = first, times + 1
        often = times + 1 >= OFTEN and (times + 1) * 2 >= self.steps[event.optimizer]
        return (first, times + 1) if often else (row.first, row.times)

    def _kind(
        self, event: Step, last: Step | None, lost: Clear | None, forward: Forward | None
    ) -> str:
        if lost is not None:
            return "cleared"
        if event.uses:
            return self._again(event, last, forward)
        if event.moved and event.optimizer in self.fed:
            return "momentum"
        ran = last is not None and self.latest > last.index
        never = event.optimizer not in self.fed and not event.moved
        if ran and never and self._ungiven(event, last):
            return "ungiven"
        if forward is None or event.moved:
            return ""
        if ran:
            return "unmade" if self._went_on(forward) else ""
        return "nothing"

    def _went_on(self, forward: Forward) -> bool:
        """Whether another model has been given what this forward made since the newest backward
        pass: the loss made there still waits for its own."""
        return self.awaited.behind(forward).index > max(self.latest, forward.index)

    def _again(self, event: Step, last: Step | None, forward: Forward | None) -> str:
        """What a step with old gradients is: whoever times steps, or searches along a gradient,
        makes such ones on purpose."""
        timed = self.timed.setdefault(event.optimizer, Timed())
        before = timed.step(event, last)
        if forward is not None:
            return "again"
        if last is not None and last.site != event.site and not before:
            return "elsewhere"
        # at the same line, with a backward of something else between, and not for once
        between = last is not None and self.latest > last.index
        times = self.repeated[event.optimizer] = self.repeated.get(event.optimizer, 0) + between
        if between:
            return "again" if times >= REPEATED else ""
        if last is None:
            return ""
        if self._acted_between(event, last) or (timed.in_groups() and not self._used(event, timed)):
            return "again"
        return "timed" if timed.on else ""

    def _used(self, event: Step, timed: Timed) -> bool:
        """Whether the optimizer's model has run without grad since the newest backward pass."""
        entry = self.roster.optimizers[event.optimizer]
        roots = {self.roster.tensors[tensor].root for tensor in entry.tensors}
        return any(self.acted.get(root, -1) > timed.newest for root in roots)

    def _acted_between(self, event: Step, last: Step) -> bool:
        """Whether an optimizer with moments goes on and on with old gradients while its model is
        used without grad between its steps (an agent that acts, and learns now and then)."""
        entry = self.roster.optimizers[event.optimizer]
        roots = {self.roster.tensors[tensor].root for tensor in entry.tensors} - {-1}
        if not keeps_moments(entry) or all(self.acted.get(root, -1) < last.index for root in roots):
            return False
        times = self.between[event.optimizer] = self.between.get(event.optimizer, 0) + 1
        return times >= BETWEEN and 2 * times >= self.steps[event.optimizer]

    def _ungiven(self, event: Step, last: Step | None) -> bool:
        """Whether the newest of what went backward since the last step was an ``autograd.grad`` for
        all tensors of an optimizer that has never had a gradient."""
        call = self.computed
        if call is None or last is None or call.index != self.latest or call.create_graph:
            return False
        tensors = self.roster.optimizers[event.optimizer].tensors
        return bool(tensors) and {*tensors} <= {*call.leaves}
