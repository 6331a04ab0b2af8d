"""CutOffs: parameters that ran and that no loss reaches, and the lines that cut them off."""

from collections.abc import Collection

from steplens.model.event import Backward, Cut, GradCall, Step
from steplens.model.finding import Because
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, seen

MOST = 256  # cuts remembered
KEEP = (
    "keep the values in the graph: compute the loss from the tensors themselves, without `item`, "
    "`detach`, `data`, `numpy` or `torch.tensor` on the way"
)
GIVE = "return the gradient of each input from `backward`; `None` stands for no gradient"


class CutOffs:
    """The findings of SL303 on parameters behind a cut, one for each optimizer that holds some. One
    whose place was not known gets it from a cut heard later."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.cuts: list[Cut] = []
        self.found: dict[int, set[int]] = {}  # optimizer -> tensors of its finding
        self.open: dict[int, Step] = {}  # optimizer -> the step of a finding without a place
        self.whole: set[int] = set()  # optimizers that have never had a gradient at all

    def cut(self, event: Cut) -> None:
        """Values were taken out of the graph."""
        if len(self.cuts) < MOST:
            self.cuts.append(event)
        for optimizer, tensors in self.found.items():
            if not tensors.isdisjoint(event.leaves):
                self._also(optimizer, event)

    def behind(self, tensors: Collection[int], dark: bool = False) -> Cut | None:
        """The first cut that took values of these tensors; ``dark``: of those by ``no_grad``."""
        cuts = [cut for cut in self.cuts if (cut.how == "no_grad") == dark]
        cuts.sort(key=lambda cut: cut.how != "backward")
        return next((cut for cut in cuts if not set(tensors).isdisjoint(cut.leaves)), None)

    def reached(self, event: Backward | GradCall) -> None:
        """A loss reaches them after all; what ``torch.autograd.grad`` gave was put in no gradient
        of an optimizer that has never had one."""
        but = self.whole if isinstance(event, GradCall) else ()
        for optimizer, tensors in list(self.found.items()):
            if optimizer not in but and not tensors.isdisjoint(event.leaves):
                self.found.pop(optimizer)
                self.cases.withdraw(optimizer)

    def tell(
        self, event: Step, tensors: list[int], cut: Cut | None, whole: bool, backwards: int
    ) -> None:
        """Open the finding on ``tensors``; ``whole``: their optimizer has had no gradient at
        all."""
        self.found[event.optimizer] = {*tensors}
        if whole:
            self.whole.add(event.optimizer)
        if cut is None:
            self.open[event.optimizer] = event
        entry = self.roster.optimizers[event.optimizer]
        names = named(self.roster, tensors)
        last = self.roster.tensors[max(tensors)].module
        after = f"; the graph ends after `{self.roster.module_name(last)}`" if last >= 0 else ""
        what = f"no loss reaches {names}, which the optimizer holds and whose modules ran{after}"
        called, help = (), KEEP
        if cut is not None and cut.how == "backward":
            what = f"no backward gives a gradient to {names}, which the optimizer holds"
            called, help = _called(cut), GIVE
        self.cases.open(
            event.optimizer,
            event.step + 1,
            (cut.site if cut else None) or event.site,
            what,
            label=_label(cut) if cut else "stepped here",
            because=(
                *called,
                *because("stepped here, with nothing for them", event.site if cut else None),
                *because("the optimizer was made here", entry.site),
            ),
            evidence=[
                seen("tensors reached by no backward", len(tensors), 0),
                seen("backward passes so far", backwards),
            ],
            help=help,
            event=event.index,
            tensors=tensors,
        )

    def _also(self, optimizer: int, cut: Cut) -> None:
        """Place a finding that had none at a cut heard since, or add it to the first one."""
        known = self.cases.findings[optimizer]
        step = self.open.pop(optimizer, None)
        if step is not None and cut.site is not None:
            why = (*_called(cut), *because("stepped here, with nothing for them", step.site))
            made = [old for old in known.because if old.at != step.site]
            self.cases.amend(optimizer, at=cut.site, label=_label(cut), because=(*why, *made))
        elif step is None and cut.how != "no_grad" and len(known.because) < 6:
            places = {known.at, *[why.at for why in known.because]}
            if cut.site not in places:
                more = because(f"`{cut.how}` takes values out of it here", cut.site)
                self.cases.amend(optimizer, because=(*known.because, *more))


def _label(cut: Cut) -> str:
    if cut.how == "no_grad":
        return "`no_grad` was on as they ran here"
    if cut.how == "backward":
        return "gives them no gradient"
    return f"`{cut.how}` takes the values out of the graph here"


def _called(cut: Cut) -> tuple[Because, ...]:
    return (
        *because("recording is switched off by this decorator", cut.decorated),
        *because("called here", cut.caller),
    )
