"""SL105: batch norms of a frozen block whose running statistics move at each step."""

from typing import NamedTuple

from steplens.model.event import Backward, Forward, Made, Mode, Step, Vain
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen, several
from steplens.rules.reached import Reached
from steplens.rules.trees import Trees
from steplens.rules.turns import Turns
from steplens.rules.woken_norms import WokenNorms

KEPT = 128


class Moving(NamedTuple):
    """A forward whose frozen norms moved."""

    forward: Forward
    norms: tuple[int, ...]


@rule(
    "SL105",
    "frozen-statistics-moving",
    "warning",
    needs=("step",),
    claims=("requires-grad-keeps-statistics-moving",),
)
class FrozenStatisticsMoving:
    """Training steps that moved the running statistics of batch norms in a frozen block.

    ## What it does
    Reports norms whose own parameters do not require grad, in a block of which the same is true
    (the module that holds them has no trainable parameter, or no graph reaches their input), and
    whose running statistics moved in the forwards of two training steps, none of which trained that
    block. Reports, too, norms in a block that is trained, where their own parameters do not require
    grad and the program called `eval()` on the norms themselves, and a `train()` of the model
    around them woke them before anything had run.

    ## Why is this bad?
    `requires_grad = False` freezes parameters, and running statistics are buffers. In train mode
    they follow the new data, so the features of the frozen block drift although nothing trains it.

    ## Example
        for p in model.backbone.parameters():
            p.requires_grad = False
        model.train()

    ## Use instead
        for p in model.backbone.parameters():
            p.requires_grad = False
        model.train()
        model.backbone.eval()

    ## When it is fine
    Norms with trainable parameters of their own or around them, on which nobody called `eval()`, or
    that have trained in eval mode before a later phase woke them; norms in eval mode; averaged
    copies (EMA, momentum encoders), whose weights change by hand; networks frozen in turn (GANs),
    which other steps train; targets and teachers whose output is not fed to the model that is
    trained.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = Trees(roster)
        self.modes: dict[tuple[int, bool], Mode] = {}
        self.moving: Reached[Moving] = Reached(KEPT)
        self.turns = Turns(self.trees)
        self.woken = WokenNorms(self.trees, cases, self.turns)
        self.told: dict[int, object] = {}  # norm -> the cause it was reported for
        self.averaged = False  # by a line that writes nothing

    def mode(self, event: Mode) -> None:
        self.modes[event.module, event.training] = event
        self.woken.mode(event)

    def made(self, event: Made) -> None:
        self.turns.made(event)

    def vain(self, event: Vain) -> None:
        """An average that is written nowhere, as SL311 tells: what seems frozen is its copy."""
        if event.what in ("name", "drop"):
            self.averaged = True
            for cause in {*self.told.values()}:
                self.cases.withdraw(cause)

    def forward(self, event: Forward) -> None:
        norms: tuple[int, ...] = ()
        if event.modes >= 0:
            self.woken.forward(event, self.roster.modes[event.modes])
        if event.statistics and event.modes >= 0:
            frozen = self.roster.modes[event.modes].frozen_norms + event.dark
            if frozen:
                norms = tuple(sorted(set(frozen).intersection(event.statistics)))
            if self.told:
                self._averaged(event, frozen)
        if norms and not event.purpose:
            self.moving.forward(event.index, Moving(event, norms))
        elif event.recorded:
            moving = self.moving.forwards
            source = next((i for i in event.fed_by if i in moving), None)
            if source is not None:
                self.moving.forward(event.index, moving[source])

    def _averaged(self, event: Forward, frozen: tuple[int, ...]) -> None:
        """Take back what was said of norms whose weights somebody has written since."""
        others = {*frozen, *self.roster.modes[event.modes].trainable}
        for norm in {*event.statistics}.difference(others).intersection(self.told):
            self.cases.withdraw(self.told.pop(norm))

    def backward(self, event: Backward) -> None:
        self.moving.backward(event)
        self.woken.backward(event)

    def step(self, event: Step) -> None:
        if event.skipped or not event.uses or not any(event.lrs):
            return
        if self.turns.counts:
            self.turns.settle(event)
        if self.moving.passes:
            self._moved(event)
        if self.woken.moving.passes:
            self.woken.step(event)
        self.turns.used(event)

    def _moved(self, event: Step) -> None:
        held = (c.backward for share in event.uses for c in share.holds if not c.used_by)
        passes = self.moving.passes
        moving = next((passes[backward] for backward in held if backward in passes), None)
        if moving is None or self.averaged:
            return
        told = next((self.told[norm] for norm in moving.norms if norm in self.told), None)
        if told is not None and self.cases.again(told, event.step + 1):
            return
        sure = tuple(n for n in moving.norms if self.turns.sure(n, event, self.cases.weight))
        if sure:
            self._open(event, moving.forward, sure)

    def _open(self, event: Step, forward: Forward, norms: tuple[int, ...]) -> None:
        above = list(self.trees.above(norms[0]))
        calls = [self.modes[m, True] for m in above if (m, True) in self.modes]
        rests = [self.modes[m, False].index for m in above if (m, False) in self.modes]
        call = max(calls, key=lambda call: call.index, default=None)
        woke = call if call is not None and call.index > max(rests, default=-1) else None
        cause = (forward.module, woke.site if woke is not None else None)
        for norm in norms:
            self.turns.counts.pop(norm, None)
            self.told[norm] = cause
        tensors = {t for norm in norms for t in self.turns.block(norm)}
        self.cases.open(
            cause,
            event.step + 1,
            woke.site if woke is not None else forward.site,
            "a training step moved the running statistics of batch norms in a frozen block",
            label="puts the frozen block in train mode" if woke else "moved them",
            because=(
                *because("this forward moved them", forward.site if woke else None),
                *because("and this step trained the rest", event.site),
            ),
            evidence=[
                seen("running statistics moved", f"in {several(len(norms), 'norm')}: "
                     f"{self.trees.names(norms)}", 0),
                seen("parameters of theirs and around them", f"{len(tensors)}, none trained", ""),
            ],
            help="call `eval()` on the frozen block after each `train()` of the model around it",
            event=forward.index,
        )  # fmt: skip
