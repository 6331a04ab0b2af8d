"""SpareTensors: parameters that no loss has reached so far, though no cut is known before them."""

from steplens.model.event import Forward, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, seen
from steplens.rules.cut_offs import CutOffs

MOST = 256  # models whose forwards without grad are remembered


class SpareTensors:
    """The notes of SL303 at the end of the run: parts that did not run, or whose output nothing
    used, or that ran under ``no_grad``."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.tensors: dict[int, set[int]] = {}  # optimizer -> tensors not reached so far
        self.steps: dict[int, Step] = {}  # optimizer -> its step that first showed some
        self.dark: dict[int, Site | None] = {}  # model -> its last forward in train mode, no grad

    def forward(self, event: Forward) -> None:
        """A forward in train mode without gradient recording."""
        if len(self.dark) < MOST:
            self.dark[event.module] = event.site

    def add(self, event: Step) -> None:
        """A step that found no gradient in tensors that no backward has ever reached."""
        self.tensors.setdefault(event.optimizer, set()).update(event.unreached)
        self.steps.setdefault(event.optimizer, event)

    def reached(self, leaves: tuple[int, ...]) -> None:
        """A loss reaches them after all."""
        for tensors in self.tensors.values():
            tensors.difference_update(leaves)
        if not any(self.tensors.values()):
            self.tensors.clear()

    def end(self, cut_offs: CutOffs) -> None:
        """Tell of what is left, where the optimizer has no finding."""
        for optimizer, tensors in self.tensors.items():
            if not tensors or optimizer in cut_offs.found:
                continue
            left, step = sorted(tensors), self.steps[optimizer]
            entry = self.roster.optimizers[optimizer]
            cut = cut_offs.behind(tensors, dark=True)
            ran = [self.dark.get(self.roster.tensors[tensor].root) for tensor in left]
            site = cut.site if cut is not None else next((s for s in ran if s is not None), None)
            self.cases.open(
                optimizer,
                step.step + 1,
                site or entry.site,
                f"no loss of this run reached {named(self.roster, left)}, held by the optimizer",
                label="`no_grad` was on as they ran here" if site else "made with them",
                because=(
                    *because("it was switched off around this call", cut.caller if cut else None),
                    *because("the optimizer was made with them", entry.site if site else None),
                ),
                evidence=[seen("tensors reached by no backward", len(left))],
                help="leave them out of the optimizer, or use what they make in the loss",
                severity="note",
                event=step.index,
                tensors=left,
            )
