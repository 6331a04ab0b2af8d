"""SL702: a DistributedSampler that gives every epoch in the same order."""

from steplens.model.event import Batch, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen

KEPT = 64  # passes remembered


class Drawn:
    """A pass over a loader whose DistributedSampler shuffles: the seed of its order, and the
    optimizers that stepped on its batches."""

    __slots__ = ("site", "made", "seed", "key", "batches", "length", "optimizers")

    def __init__(self, event: Batch) -> None:
        self.site: Site | None = event.site
        self.made: Site | None = event.made
        self.seed = event.order
        self.key = event.data if event.data >= 0 else -2 - event.loader
        self.batches = 0
        self.length = event.batches
        self.optimizers: set[int] = set()


@rule("SL702", "epoch-never-set", "warning", needs=("batch",))
class EpochNeverSet:
    """Every epoch in the same order, as the DistributedSampler was never told the epoch.

    ## What it does
    Reports a `DistributedSampler` with `shuffle=True` that drew the order of one training pass
    after another from the same seed, while the same optimizer stepped on their batches.

    ## Why is this bad?
    The sampler draws its order from `seed + epoch`, so that all ranks agree on it, and `epoch` is 0
    until `set_epoch` is called. Without it each rank sees the same batches of the same samples in
    every epoch, and never those of the other ranks.

    ## Example
        for epoch in range(epochs):
            for x, y in loader:
                train(x, y)

    ## Use instead
        for epoch in range(epochs):
            sampler.set_epoch(epoch)
            for x, y in loader:
                train(x, y)

    ## When it is fine
    One pass. `shuffle=False`. Passes for evaluation, on whose batches nothing steps. A pass of one
    batch. Samplers that order the indices by a method of their own are not looked at, nor is one
    of a single replica.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.running = Newest[int, Drawn](KEPT)  # by loader
        self.past = Newest[int, Drawn](KEPT)  # the latest pass with a step, by dataset
        self.counts: dict[object, int] = {}
        self.latest: Drawn | None = None  # whose batch was handed out last

    def batch(self, event: Batch) -> None:
        if event.form == "epoch":
            self.running.pop(event.loader, None)
            if event.order >= 0:
                self.running[event.loader] = Drawn(event)
        elif event.form == "batch":
            self.latest = self.running.get(event.loader)
            if self.latest is not None:
                self.latest.batches += self.cases.weight

    def step(self, event: Step) -> None:
        current = self.latest
        if current is None or event.optimizer in current.optimizers:
            return
        current.optimizers.add(event.optimizer)
        before = self.past.get(current.key)
        if before is current:
            return
        self.past.pop(current.key, None)
        self.past[current.key] = current
        if (
            before is not None
            and before.seed == current.seed
            and before.batches > 1
            and event.optimizer in before.optimizers
        ):
            self._repeated(event, current)

    def _repeated(self, event: Step, current: Drawn) -> None:
        cause = (current.key, current.site)
        passes = self.counts[cause] = self.counts.get(cause, 1) + 1
        evidence = (
            seen("training passes in the same order", passes),
            seen("batches in a pass", current.length),
            seen("seed + epoch of the sampler", f"{current.seed} each time", "another each time"),
        )
        if self.cases.again(cause, event.step + 1):
            self.cases.amend(cause, evidence=evidence)
            return
        self.cases.open(
            cause,
            event.step + 1,
            current.site,
            "a shuffling `DistributedSampler` gave the samples of two epochs in the same order",
            label="this pass is in the order of the one before",
            because=because("its loader was made here", current.made),
            evidence=evidence,
            help="call `sampler.set_epoch(epoch)` before each pass",
            event=event.index,
        )
