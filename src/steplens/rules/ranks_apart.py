"""SL704: ranks whose copies of one model differ."""

from steplens.model.event import Apart, Load, Schedule, Step
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.unwrapped import Unwrapped


@rule("SL704", "ranks-apart", "error", needs=("apart",))
class RanksApart:
    """Ranks that train different models, though their gradients are averaged.

    ## What it does
    Reports a model in a DistributedDataParallel whose parameters are not the same on the next rank
    after steps on averaged gradients. A sample of them is compared at steps 2, 4, 8 and so on,
    through the store of the process group. So are parameters that no wrapper holds, where their
    gradients are the same on the next rank to the last bit, as the program averages them;
    gradients that the program averages for some parameters and not for others, of models that
    began alike (a warning); and models that began alike and are in no wrapper, when a
    `DistributedSampler` gives each rank its part of a dataset and the ranks exchange nothing from
    the first step to the last. Notes parameters that the same optimizer holds and no wrapper does,
    such as those of a loss: alike on both ranks before the first step, and no longer after the
    second.

    ## Why is this bad?
    The wrapper copies parameters from the first rank once, when it is made, and averages gradients
    from then on. What one rank alone does to its copy (loads weights, steps its schedule, skips a
    step) stays there, and the average is of gradients of different models. Parameters that are
    unfrozen once the wrapper is made are averaged by nothing.

    ## Example
        model = DistributedDataParallel(Net())
        if rank == 0:
            model.module.load_state_dict(torch.load("start.pt"))

    ## Use instead
        net = Net()
        net.load_state_dict(torch.load("start.pt"))
        model = DistributedDataParallel(net)

    ## When it is fine
    Steps on gradients that were not averaged (SL701 tells), wrappers with a communication hook
    (local SGD), wrappers over some of the ranks, parameters that the wrapper was told to ignore,
    and differences of a thousandth, which may be rounding, are not reported.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.latest: dict[int, Step] = {}
        self.lrs: tuple[float, ...] = ()
        self.loaded: Site | None = None
        self.scheduled: Site | None = None
        self.unwrapped = Unwrapped(roster, cases)

    def step(self, event: Step) -> None:
        self.latest[event.optimizer] = self.unwrapped.latest[event.optimizer] = event

    def load(self, event: Load) -> None:
        if event.what == "module":
            self.loaded = event.site

    def schedule(self, event: Schedule) -> None:
        self.scheduled = event.site

    def apart(self, event: Apart) -> None:
        if event.wrapper < 0:
            self.unwrapped.apart(event)
            return
        if event.tensors:
            self._outside(event)
            return
        step = self.latest.get(event.optimizer)
        name = self.roster.module_name(event.wrapper)
        self.cases.open(
            event.optimizer,
            max(event.step, 1),
            event.site or (step.site if step is not None else None),
            f"`{name}` is not the same on rank {event.other} after step {event.count}"
            + (f": {self._late(event)}" if event.late else ""),
            label="this step moves one of several different models",
            because=(
                *because("weights were loaded here, on this rank", self.loaded),
                *because("the schedule goes on here, on this rank", self.scheduled),
            ),
            evidence=(
                seen("largest difference of a parameter", event.distance, 0.0),
                seen("learning rate on this rank", step.lrs[0])
                if step is not None and step.lrs
                else seen("steps compared", event.count),
                *([seen("parameters that differ", self._parted(event))] if event.parted else ()),
            ),
            help="unfreeze parameters before the wrapper is made, or make it anew then"
            if event.late
            else "do on every rank what changes the model, its optimizer or its schedule; load "
            "weights before the wrapper is made",
            event=event.index,
        )

    def _parted(self, event: Apart) -> str:
        return named(self.roster, event.parted)

    def _late(self, event: Apart) -> str:
        wrapper = self.roster.modules[event.wrapper].type
        return (
            f"{self._parted(event)} were frozen before, and a `{wrapper}` averages gradients of "
            "what required them when it was made"
        )

    def _outside(self, event: Apart) -> None:
        """Parameters that no wrapper averages; a rank may have a head of its own on purpose."""
        step = self.latest.get(event.optimizer)
        names = named(self.roster, event.tensors)
        module = self.roster.tensors[event.tensors[0]].module
        made = self.roster.modules[module] if module >= 0 else None
        wrapper = self.roster.modules[event.wrapper]
        moved = step.site if step is not None else event.site
        entry = self.roster.optimizers[event.optimizer]
        self.cases.open(
            (event.optimizer, "outside"),
            max(event.step, 1),
            (made.site if made is not None else None) or moved,
            f"{names} {'lies' if len(event.tensors) == 1 else 'lie'} in no `{wrapper.type}`: alike "
            f"on the ranks before the first step, and different after step {event.count}",
            label=f"this `{made.type}` is not wrapped" if made is not None else "moves them apart",
            because=because("this step moves them", moved)
            if made is not None
            else because("the optimizer was made here", entry.site),
            evidence=(
                seen("largest difference to the next rank before the first step", 0.0),
                seen(f"after step {event.count}", event.distance, 0.0),
            ),
            help="wrap it as well, or make it a part of the wrapped model and call it there",
            severity="note",
            event=event.index,
        )
