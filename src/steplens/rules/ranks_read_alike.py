"""SL703: ranks that are given the same batches."""

from steplens.model.event import Batch, ReadAlike, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL703", "ranks-read-alike", "warning", needs=("read-alike",))
class RanksReadAlike:
    """Ranks that train one model on the same batches.

    ## What it does
    Reports a loader that gave this rank the very batches that it gave the next rank, while their
    gradients were averaged by a DistributedDataParallel. Digests of the first three batches of two
    passes are compared, through the store of the process group. A `DistributedSampler` does not
    help if each rank makes it with the same `rank=`.

    ## Why is this bad?
    The average of equal gradients is the gradient that one rank has by itself: the other ranks
    compute the same again, an epoch takes as long as on one of them, and the batch is not larger.

    ## Example
        loader = DataLoader(dataset, batch_size=32, shuffle=True)
        model = DistributedDataParallel(model)

    ## Use instead
        sampler = DistributedSampler(dataset)
        loader = DataLoader(dataset, batch_size=32, sampler=sampler)
        model = DistributedDataParallel(model)

    ## When it is fine
    Loaders on whose batches nothing is trained (each rank may evaluate on all of the data), ranks
    that hold parts of one model and must read alike, data that is one batch again and again, and
    loaders with a `DistributedSampler` of fewer replicas than ranks, are not reported.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.begun = Newest[int, Batch](256)  # loader -> the newest pass
        self.latest = -1  # loader of the newest batch
        self.alike: dict[int, ReadAlike] = {}

    def batch(self, event: Batch) -> None:
        if event.form == "epoch":
            self.begun[event.loader] = event
        elif event.form == "batch":
            self.latest = event.loader

    def read_alike(self, event: ReadAlike) -> None:
        self.alike[event.loader] = event

    def step(self, event: Step) -> None:
        found = self.alike.get(self.latest)
        exchange = event.exchange
        if found is None or exchange is None or not exchange.averaged or event.skipped:
            return
        if self.cases.again(self.latest, event.step + 1):
            return
        begun = self.begun.get(self.latest)
        made = begun.made if begun is not None else None
        ran = begun.site if begun is not None else found.site
        told = "each rank reads all of it in the same order"
        told = f"each rank reads the shard of rank {found.shard}" if found.shard >= 0 else told
        self.cases.open(
            self.latest,
            event.step + 1,
            made or ran,
            f"rank {found.other} is given the same batches: the {exchange.ranks} ranks average "
            "equal gradients",
            label="read here" if not made else told,
            because=(
                *because("read here", ran if made else None),
                *because("this step used the averaged gradients", event.site),
            ),
            evidence=(
                seen("batches compared", found.batches),
                seen("batches that the other rank was not given", 0, found.batches),
                seen("passes over the data", found.passes),
            ),
            help="give the `DistributedSampler` the rank of each process: `rank=dist.get_rank()`, "
            "which is its default"
            if found.shard >= 0
            else "give the loader a `DistributedSampler`, and set its epoch before each pass",
            event=event.index,
        )
