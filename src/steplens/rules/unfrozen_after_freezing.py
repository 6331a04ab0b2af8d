"""SL316: parameters that were meant to be frozen and still move."""

from steplens.model.event import Flagged, Forward, Line, Misnamed, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.decayed import masked
from steplens.rules.undone import Undone


@rule("SL316", "unfrozen-after-freezing", "warning", needs=("step",))
class UnfrozenAfterFreezing:
    """Parameters that were meant to be frozen and still move.

    ## What it does
    Reports ways in which freezing fails. An attribute that torch does not know, set to False on
    parameters or a module (`p.require_grad = False`, `model.requires_grad = False`), while they go
    on requiring gradients and being stepped; so, too, a loop over a module's parameters that
    compares (`p.requires_grad == False`) where it was to set, one that sets it on what
    `state_dict()` made, and a `map` over them whose result nobody goes through, as it calls its
    function only then. And parameters with
    `requires_grad=False` that had gradients before, still hold one, and are moved by a step: by
    momentum or weight decay. And rows of a parameter whose gradient a hook, or a line after the
    backward, sets to 0 each time, and which weight decay takes towards 0 all the same. As a note: a
    line that froze some parameters of a model, where all of them were unfrozen by another line
    before anything ran, and a frozen parameter in whose place a new one was put, which requires a
    gradient as every new `nn.Parameter` does.

    ## Why is this bad?
    Python lets any attribute be set, so the misspelt one is stored and does nothing. And an
    optimizer asks whether a parameter holds a gradient, not whether it requires one; of one that
    is 0 in part, weight decay moves the whole.

    ## Example
        for p in model.backbone.parameters():
            p.require_grad = False

    ## Use instead
        for p in model.backbone.parameters():
            p.requires_grad = False
            p.grad = None

    ## When it is fine
    Frozen parameters without a gradient are passed over by every step and are not reported, nor
    are gradients that the program's own code has written, nor all of a model frozen and parts of it
    unfrozen. A default that freezes and a setting that unfreezes again get a note. Rows that a
    batch did not reach, that are 0 themselves (pruned), or that the program puts back after a step.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.frozen_at: Site | None = None
        self.undone = Undone(roster)

    def forward(self, event: Forward) -> None:
        self.undone.forward()

    def line(self, event: Line) -> None:
        self.undone.line(event)
        if any(c.part == "trainable" and c.after is False for c in event.changes):
            self.frozen_at = event.site

    def flagged(self, event: Flagged) -> None:
        self.undone.flagged(event)
        if not event.trainable:
            self.frozen_at = event.site

    def misnamed(self, event: Misnamed) -> None:
        if event.value:
            return  # meant to unfreeze: SL303 tells
        names = named(self.roster, event.tensors)
        on = "a module" if event.module >= 0 else "parameters"
        compared = "(" in event.name or "==" in event.name
        did = "compares and" if "==" in event.name else f"set on {on}"
        did = "is never gone through and" if event.name.startswith("map(") else did
        did = "sets it on new tensors and" if event.name.startswith("state_dict(") else did
        self.cases.open(
            ("misnamed", event.name, event.module),
            max(event.step, 1),
            event.site or self._made(event.tensors),
            f"`{event.name}` {did} does not freeze {names}: they require gradients and move",
            label="the result goes nowhere"
            if compared
            else "torch does not read this attribute here",
            evidence=[
                seen(
                    f"tensors behind `{event.name}{'' if compared else ' = False'}` that still "
                    "move",
                    len(event.tensors),
                    0,
                )
            ],
            help="call `module.requires_grad_(False)`, or set `requires_grad` on each parameter",
            event=event.index,
            tensors=event.tensors,
        )

    def _made(self, tensors: tuple[int, ...]) -> Site | None:
        for entry in self.roster.optimizers.values():
            if tensors[0] in entry.tensors:
                return entry.site
        return None

    def step(self, event: Step) -> None:
        self.undone.step(event, self.cases)
        masked(event, self.roster, self.cases)
        if not event.thawed or self.cases.again(("moved", event.optimizer), event.step + 1):
            return
        entry = self.roster.optimizers[event.optimizer]
        names = named(self.roster, event.thawed)
        self.cases.open(
            ("moved", event.optimizer),
            event.step + 1,
            event.site,
            f"a step moved {names}, whose `requires_grad` is False: a gradient was left on them",
            label="moved by momentum or weight decay here",
            because=(
                *because("frozen here", self.frozen_at),
                *because("the optimizer that holds them was made here", entry.site),
            ),
            evidence=[seen("frozen tensors moved by the step", len(event.thawed), 0)],
            help="set `p.grad = None` when you freeze a parameter, and clear with "
            "`zero_grad(set_to_none=True)`, or take it out of the optimizer",
            event=event.index,
            tensors=event.thawed,
        )
