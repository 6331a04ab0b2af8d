"""SL302: the optimizer holds tensors that the model has replaced."""

from steplens.model.event import Backward, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.left_out import Outside, strangers

TRIES = 4  # steps with the same idle tensors within which it is decided


@rule("SL302", "optimizer-holds-strangers", "error", needs=("step",))
class OptimizerHoldsStrangers:
    """An optimizer whose parameters are no longer the model's.

    ## What it does
    Reports an optimizer that holds tensors which got no gradient at two steps running (or hold one
    that an earlier step has used), while a tensor that stands under the same name in the live model
    got gradients and belongs to no optimizer: a layer was replaced, or the whole model was made
    anew, after the optimizer was made, be it for each step; or both were copied, each for itself,
    and the tensors of the copied optimizer are no model's.

    ## Why is this bad?
    The optimizer goes on with the old tensors, which nothing uses any more. The new ones get
    gradients and are never updated. Nothing fails, as a step passes over tensors without a
    gradient.

    ## Example
        optimizer = torch.optim.Adam(model.parameters())
        model.head = nn.Linear(512, 10)

    ## Use instead
        model.head = nn.Linear(512, 10)
        optimizer = torch.optim.Adam(model.parameters())

    ## When it is fine
    Frozen groups and parts that no forward uses are not reported: it takes a live tensor of the
    same name that gets gradients and is in no optimizer.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.outside = Outside(roster)
        self.idle: dict[int, tuple[int, ...]] = {}  # optimizer -> tensors idle at its last step
        self.tries: dict[int, tuple[tuple[int, ...], int]] = {}  # the same idle ones, looked at

    def backward(self, event: Backward) -> None:
        self.outside.backward(event)

    def step(self, event: Step) -> None:
        if event.skipped:
            return
        optimizer = event.optimizer
        count = self.outside.step(event, self.cases.weight)
        now = _ungiven(event) if self.outside.strays else event.idle
        last, self.idle[optimizer] = self.idle.get(optimizer), now
        if count < 2 or not now or not last:
            return
        idle = now if now == last else tuple(sorted({*now} & {*last}))
        if not idle or self.cases.again(optimizer, event.step + 1) or not self.outside.strays:
            return
        looked_at, tries = self.tries.get(optimizer, ((), 0))
        tries = tries + 1 if looked_at == idle else 1
        self.tries[optimizer] = (idle, tries)
        if tries <= TRIES:
            pairs = strangers(self.roster, idle, self.outside.recent())
            if pairs:
                self._open(event, pairs)

    def _open(self, event: Step, pairs: dict[int, int]) -> None:
        entry = self.roster.optimizers[event.optimizer]
        new, old = next(iter(pairs.items()))
        names = named(self.roster, pairs)
        did = "pass over the old ones" if old in event.idle else "go on with used gradients"
        self.cases.open(
            event.optimizer,
            event.step + 1,
            entry.site,
            f"the optimizer holds other tensors than the model's {names}: they were replaced after "
            "it was made",
            label="made with the old tensors",
            because=(
                *because("the tensors that the model has now were made here", self._made(new, old)),
                *because(f"steps {did} here", event.site),
            ),
            evidence=[
                seen(f"held for `{self.roster.tensors[old].name}`", self._shape(old), "in a graph"),
                seen(f"the model's `{self.roster.tensors[new].name}`", self._shape(new)),
                seen(
                    "tensors held and in no graph",
                    f"{len(pairs)} of {len(entry.tensors)}",
                    "0",
                ),
            ],
            help="make the optimizer after the model has its final parameters, or add the new ones "
            f"with `{self.roster.variable(event.optimizer)}.add_param_group`",
            event=event.index,
            tensors=(*pairs, *pairs.values()),
        )

    def _made(self, new: int, old: int) -> Site | None:
        """The line that made a layer's new tensor; of a model made anew, that made the model."""
        entry = self.roster.tensors[new]
        model = self.roster.modules.get(entry.root)
        if model is None or entry.root == self.roster.tensors[old].root:
            return entry.site
        return model.site or entry.site

    def _shape(self, tensor: int) -> str:
        entry = self.roster.tensors[tensor]
        return f"{entry.dtype}{list(entry.shape)}"


def _ungiven(event: Step) -> tuple[int, ...]:
    """The tensors that no backward has given anything since an earlier step."""
    if event.unknown or event.rewritten:
        return event.idle
    used = [t for s in event.uses if all(held.used_by for held in s.holds) for t in s.tensors]
    return tuple(sorted({*event.idle, *used})) if used else event.idle
