"""SpareTensors: parameters that no loss has reached so far, though no cut is known before them."""

from steplens.model.event import Forward, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, seen
from steplens.rules.cut_offs import CHECKPOINT, DARK, CutOffs, called, label

MOST = 256  # models whose forwards without grad are remembered
SPARE = "leave them out of the optimizer, or use what they make in the loss"
WHOLE = (
    "take `use_reentrant=False`, or let an input of the block require a gradient "
    "(`model.enable_input_require_grads()`, `x.requires_grad_()`)"
)
DIM = (
    "leave them out of the optimizer if they are frozen on purpose; else run them with recording on"
)


class SpareTensors:
    """The notes of SL303 at the end of the run: parts that did not run, or whose output nothing
    used, or that ran under ``no_grad``."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.tensors: dict[int, set[int]] = {}  # optimizer -> tensors not reached so far
        self.steps: dict[int, Step] = {}  # optimizer -> its step that first showed some
        self.dark: dict[int, Site | None] = {}  # model -> its last forward in train mode, no grad
        self.lit: set[int] = set()  # modules that ran in train mode with recording on

    def forward(self, event: Forward) -> None:
        """A forward in train mode, recorded or not: an evaluation may be one that is not."""
        if event.grad:
            self.lit.add(event.module)
            self.lit.update(set(event.ran or ()).difference(event.without_grad))
        elif len(self.dark) < MOST:
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
            known = {tensor: self.roster.tensors[tensor] for tensor in left}
            lit = {t for t, of in known.items() if not self.lit.isdisjoint((of.module, of.root))}
            cut = cut_offs.dark(left, lit)
            ran = [self.dark.get(known[tensor].root) for tensor in left if tensor not in lit]
            site = cut.site if cut is not None else next((s for s in ran if s is not None), None)
            kept = cut if cut is not None and cut.how == CHECKPOINT else None
            self.cases.open(
                optimizer,
                step.step + 1,
                site or entry.site,
                f"no loss of this run reached {named(self.roster, left)}, held by the optimizer",
                label=label(kept) if kept else DARK if site else "made with them",
                because=(
                    *(called(cut) if cut else ()),
                    *because("the optimizer was made with them", entry.site if site else None),
                ),
                evidence=[seen("tensors reached by no backward", len(left))],
                help=WHOLE if kept else DIM if site else SPARE,
                severity=None if kept else "note",
                event=step.index,
                tensors=left,
            )
