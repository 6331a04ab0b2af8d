"""SL201: a step used what an earlier step had already used."""

from steplens.model.event import Backward, Clear, Contribution, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.last_clears import LastClears
from steplens.rules.piled import Piled, parts


@rule(
    "SL201", "gradients-never-cleared", "error", needs=("step",), claims=("backward-adds-to-grad",)
)
class GradientsNeverCleared:
    """Steps that used gradients which an earlier step had already used.

    ## What it does
    Reports an `optimizer.step()` whose gradients still hold the contribution of a backward pass
    that an earlier step of the same optimizer has used: nothing cleared them in between. The same
    for parameters of no optimizer that the program's own code moves straight down their gradient
    (`p -= lr * p.grad`), twice with nothing cleared; and a closure that an optimizer of torch's
    (LBFGS) evaluates again within one step, adding to what it has read and moved by.

    ## Why is this bad?
    `backward()` adds to `.grad`. Without a clear every step moves along the sum of all gradients
    since the beginning, old batches at old weights included. Nothing fails and the loss may even
    fall for a while.

    ## Example
        for x, y in batches:
            criterion(model(x), y).backward()
            optimizer.step()

    ## Use instead
        for x, y in batches:
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()

    ## When it is fine
    Accumulation is not reported: contributions that no step has used yet may add up. Any way of
    clearing counts, at any place between use and reuse: either `zero_grad`, `p.grad = None`,
    `p.grad.zero_()`, `p.grad.data.zero_()` (which moves no counter: the values are read). Used
    gradients that the author goes on writing in place (a decay of his own) say nothing, nor does a
    step of another optimizer on the same parameters. In a closure (LBFGS) several passes of one
    evaluation may add up, and a clear before each `step` is enough where that evaluates it once. An
    update by hand is known by the first one, which goes along the gradient or its signs (momentum,
    Adam).
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.steps = Newest[int, Step](64)
        self.sites = Newest[int, Site | None](256)
        self.clears = LastClears(roster)
        self.piled = Piled(roster, cases)

    def clear(self, event: Clear) -> None:
        self.clears.clear(event)

    def backward(self, event: Backward) -> None:
        self.sites[event.index] = event.site
        self.piled.backward(event)
        if event.by_hand:
            self._by_hand(event)

    def _by_hand(self, event: Backward) -> None:
        """Parameters of no optimizer, updated by the user's own code."""
        cause = ("hand", event.site)
        if self.cases.again(cause, event.step + 1):
            return
        names = named(self.roster, event.by_hand)
        self.cases.open(
            cause,
            event.step + 1,
            event.site,
            f"gradients of {names} served for two updates by hand and were not cleared",
            label="this backward adds to what was used already",
            evidence=[
                seen("updates by hand that used the oldest part", 2, 1),
                seen("cosine of the last update and the falling gradient", event.along),
            ],
            help="clear them after each update: `parameter.grad = None`, or `.grad.zero_()`",
            event=event.index,
            tensors=event.by_hand,
        )

    def step(self, event: Step) -> None:
        self.steps[event.index] = event
        if self.piled.step(event) or event.skipped:
            return
        again: list[int] = []
        found: tuple[Contribution, Contribution] | None = None
        for share in event.uses:
            newest = share.holds[-1]
            if len(share.holds) == 1 or self._by_same(newest, event.optimizer):
                continue  # nothing old, or nothing new: then the backward is missing, not the clear
            old = next((c for c in share.holds if self._by_same(c, event.optimizer)), None)
            if old is not None:
                again += share.tensors
                found = found or (old, newest)
        cause = event.site or event.optimizer
        if found is not None and not self.cases.again(cause, event.step + 1):
            self._open(cause, event, again, *found)
        self.clears.stepped(event.optimizer)

    def _by_same(self, contribution: Contribution, optimizer: int) -> bool:
        uses = [self.steps.get(index) for index in contribution.used_by]
        return any(
            step is not None and step.optimizer == optimizer and not step.skipped for step in uses
        )

    def _open(
        self, cause: object, event: Step, again: list[int], old: Contribution, new: Contribution
    ) -> None:
        first = self.steps.get(old.used_by[0])
        evidence = [
            seen(
                "gradients",
                f"{len(again)} tensors hold a used contribution ({named(self.roster, again)})",
                "0 tensors",
            ),
            *parts(event.overlap),
        ]
        self.cases.open(
            cause,
            event.step + 1,
            event.site,
            "a step used gradients that an earlier step had already used, uncleared",
            label="used them again here",
            because=(
                *because(
                    "an earlier step used them here",
                    first.site if first is not None and first.site != event.site else None,
                ),
                *because(
                    "this backward added to what was left",
                    self.sites.get(new.backward),
                ),
                *self.clears.marks(event.optimizer, again[0], old.backward),
            ),
            evidence=evidence,
            help=f"call `{self.roster.variable(event.optimizer)}.zero_grad()` once for each step, "
            "before its first backward",
            event=event.index,
            tensors=again,
        )
