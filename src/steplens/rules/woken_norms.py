"""Woken norms: those that were frozen and put to sleep one by one, and woken before anything ran
with them asleep."""

from typing import NamedTuple

from steplens.model.event import Backward, Forward, Mode, Step
from steplens.model.newest import Newest
from steplens.model.roster import ModeReading
from steplens.rules.base import Cases, because, named, seen, several
from steplens.rules.reached import Reached
from steplens.rules.trees import Trees
from steplens.rules.turns import Turns

KEPT = 128
NORMS = 4096


class Asleep(NamedTuple):
    """The ``eval()`` on a norm itself, and the ``train()`` around it that undid it."""

    call: Mode
    woke: Mode | None = None


class Moving(NamedTuple):
    """A forward in which such norms moved."""

    forward: Forward
    norms: tuple[int, ...]


class WokenNorms:
    """Follows the ``eval()`` calls on norms themselves that had no effect.

    Such a call says that its norm is to stand still while the model around it trains: only then
    does it do what ``eval()`` of the model does not. If no forward in which the model was awake, or
    that recorded a graph, found the norm asleep before a ``train()`` of the model woke it, the call
    has done nothing. Norms that were used in that way once are left alone for good: a later phase
    may wake them on purpose. A loop that puts all modules to sleep is an evaluation: it calls
    ``eval()`` on what is around the norm on the same line.
    """

    def __init__(self, trees: Trees, cases: Cases, turns: Turns) -> None:
        self.trees = trees
        self.cases = cases
        self.turns = turns
        self.asleep = Newest[int, Asleep](NORMS)
        self.used: set[int] = set()  # norms that ran asleep, as their own call had it
        self.whole = Newest[object, None](KEPT)  # places that put to sleep more than norms
        self.moving: Reached[Moving] = Reached(KEPT)

    def mode(self, event: Mode) -> None:
        """A call of ``train`` or ``eval``."""
        modules = self.trees.roster.modules
        entry = modules.get(event.module)
        if entry is not None and entry.norm:
            self.asleep.pop(event.module, None)
            if not event.training and event.module not in self.used:
                self.asleep[event.module] = Asleep(event)
        elif not event.training:
            if event.site is not None:
                self.whole[event.site] = None
        elif self.asleep:
            for norm in self.asleep.keys() & set(event.switched):
                held = self.asleep[norm]
                if event.module in self.trees.above(norm):
                    self.asleep[norm] = Asleep(held.call, held.woke or event)

    def forward(self, event: Forward, reading: ModeReading) -> None:
        """A forward of a tree with mode-sensitive modules."""
        if not self.asleep:
            return
        if event.training or event.recorded or event.module in self.asleep:
            for norm in self.asleep.keys() & set(reading.asleep):
                self.used.add(norm)
                del self.asleep[norm]
        if event.statistics and event.recorded and not event.purpose:
            told = {*reading.trainable, *reading.frozen_norms, *event.dark}
            moved = self.asleep.keys() & set(event.statistics).difference(told)
            norms = tuple(sorted(norm for norm in moved if self._undone(norm)))
            if norms:
                self.moving.forward(event.index, Moving(event, norms))

    def _undone(self, norm: int) -> bool:
        held = self.asleep[norm]
        return (
            held.woke is not None
            and held.call.site not in self.whole
            and bool(self.trees.roster.modules[norm].tensors)
        )

    def backward(self, event: Backward) -> None:
        self.moving.backward(event)

    def step(self, event: Step) -> None:
        """A step that trains something, and not these norms' own parameters."""
        passes = self.moving.passes
        held = (c.backward for share in event.uses for c in share.holds if not c.used_by)
        moving = next((passes[backward] for backward in held if backward in passes), None)
        if moving is None:
            return
        used = {tensor for share in event.uses for tensor in share.tensors}
        norms = [norm for norm in moving.norms if norm in self.asleep and self._beside(norm, used)]
        woke = self.asleep[norms[0]].woke if norms else None
        if woke is None or self.cases.again(("woken", woke.site), event.step + 1):
            return
        sure = tuple(n for n in norms if self.turns.sure(n, event, self.cases.weight))
        if sure:
            self._open(woke, event, moving.forward, sure)

    def _beside(self, norm: int, used: set[int]) -> bool:
        """Whether the step trains what holds the norm, and not the norm."""
        own = self.trees.tensors(norm)
        parent = self.trees.roster.modules[norm].parent
        around = self.trees.tensors(parent) if parent >= 0 else frozenset[int]()
        return own.isdisjoint(used) and not around.isdisjoint(used)

    def _open(self, woke: Mode, event: Step, forward: Forward, norms: tuple[int, ...]) -> None:
        call = self.asleep[norms[0]].call
        tensors = sorted({tensor for norm in norms for tensor in self.trees.tensors(norm)})
        roster = self.trees.roster
        self.cases.open(
            ("woken", woke.site),
            event.step + 1,
            woke.site,
            "a training step moved the running statistics of frozen batch norms: this call undid "
            "their `eval()` before anything ran",
            label="puts them in train mode again",
            because=(
                *because("put in eval mode here", call.site),
                *because("this forward moved them", forward.site),
            ),
            evidence=[
                seen("running statistics moved", f"in {several(len(norms), 'norm')}: "
                     f"{self.trees.names(norms)}", 0),
                seen("their own parameters, none trained", named(roster, tensors), ""),
            ],
            help="freeze the norms after each `train()` of the model around them, or override its "
            "`train` to do so",
            event=forward.index,
        )  # fmt: skip
