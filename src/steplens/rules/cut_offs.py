"""CutOffs: parameters that ran and that no loss reaches, and the lines that cut them off."""

from collections.abc import Collection

import msgspec

from steplens.model.event import Backward, Cut, GradCall, Step
from steplens.model.finding import Because
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, seen

MOST = 256  # cuts remembered
CHECKPOINT = "checkpoint"
DARK = "`no_grad` was on as they ran here"
KEEP = (
    "keep the values in the graph: compute the loss from the tensors themselves, without `item`, "
    "`detach`, `data`, `numpy` or `torch.tensor` on the way"
)
LIGHT = (
    "take `no_grad` off what the loss is computed from: under it what they made has no graph, and "
    "no gradient comes back to them"
)
GIVE = "return the gradient of each input from `backward`; `None` stands for no gradient"


class CutOffs:
    """The findings of SL303 on parameters behind a cut, one for each optimizer that holds some. One
    whose place was not known gets it from a cut heard later."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.cuts: list[Cut] = []
        self.next: dict[int, int] = {}  # cut -> the optimizer that steps next
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

    def step(self, event: Step) -> None:
        """The values that were taken since the step before were taken for this one."""
        for cut in reversed(self.cuts):
            if cut.index in self.next:
                break
            self.next[cut.index] = event.optimizer

    def behind(self, tensors: Collection[int], optimizer: int) -> Cut | None:
        """The first cut that took values of these tensors, with all that were taken on its line:
        one before a step of the optimizer that holds them, if there is one (a discriminator's own
        loss is given samples that are detached). What ran under ``no_grad`` from its beginning had
        none in a graph, and may be frozen."""
        cuts = [cut for cut in self.cuts if cut.how not in ("no_grad", CHECKPOINT) or cut.graph]
        cuts.sort(key=lambda c: (c.how != "backward", self.next.get(c.index) != optimizer))
        first = next((cut for cut in cuts if not set(tensors).isdisjoint(cut.leaves)), None)
        if first is None:
            return None
        same = [c.leaves for c in cuts if (c.how, c.site) == (first.how, first.site)]
        return msgspec.structs.replace(first, leaves=tuple({leaf for one in same for leaf in one}))

    def dark(self, tensors: Collection[int], lit: Collection[int]) -> Cut | None:
        """The first use of these under ``no_grad``; for those of ``lit``, which have run in
        training with recording on as well, not one in a forward that was under it as a whole."""
        for cut in self.cuts:
            asked = set(tensors).difference(lit) if cut.dark else tensors
            if cut.how in ("no_grad", CHECKPOINT) and not set(cut.leaves).isdisjoint(asked):
                return cut
        return None

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
        if cut is not None and cut.how == "backward":
            what = f"no backward gives a gradient to {names}, which the optimizer holds"
        self.cases.open(
            event.optimizer,
            event.step + 1,
            (cut.site if cut else None) or event.site,
            what,
            label=label(cut) if cut else "stepped here",
            because=(
                *(called(cut) if cut else ()),
                *because("stepped here, with nothing for them", event.site if cut else None),
                *because("the optimizer was made here", entry.site),
            ),
            evidence=[
                seen("tensors reached by no backward", len(tensors), 0),
                seen("backward passes so far", backwards),
            ],
            help=_help(cut),
            event=event.index,
            tensors=tensors,
        )

    def _also(self, optimizer: int, cut: Cut) -> None:
        """Place a finding that had none at a cut heard since, or add it to the first one."""
        known = self.cases.findings[optimizer]
        step = self.open.pop(optimizer, None)
        if step is not None and cut.site is not None:
            why = (*called(cut), *because("stepped here, with nothing for them", step.site))
            made = [old for old in known.because if old.at != step.site]
            about = {"label": label(cut), "because": (*why, *made), "help": _help(cut)}
            self.cases.amend(optimizer, at=cut.site, **about)
        elif step is None and cut.how != "no_grad" and len(known.because) < 6:
            places = {(at.file, at.line) for at in (known.at, *[w.at for w in known.because]) if at}
            if cut.site is not None and (cut.site.file, cut.site.line) not in places:
                more = because(f"`{cut.how}` takes values out of it here", cut.site)
                self.cases.amend(optimizer, because=(*known.because, *more))


def label(cut: Cut) -> str:
    if cut.how == "no_grad" and cut.graph:
        return "`no_grad` is on here: the graph of what they made ends"
    if cut.how == "no_grad":
        return DARK
    if cut.how == CHECKPOINT:
        return "this checkpoint records nothing: none of its inputs requires a gradient"
    if cut.how == "backward":
        return "gives them no gradient"
    return f"`{cut.how}` takes the values out of the graph here"


def _help(cut: Cut | None) -> str:
    how = cut.how if cut is not None else ""
    return {"backward": GIVE, "no_grad": LIGHT}.get(how, KEEP)


def called(cut: Cut) -> tuple[Because, ...]:
    """The decorator that switched recording off, or the block around the call, and the call."""
    off = "gradient recording was switched off around this call"
    if cut.how == "backward" or cut.decorated is not None:
        off = "called here"
    return (
        *because("recording is switched off by this decorator", cut.decorated),
        *because(off, cut.caller),
    )
