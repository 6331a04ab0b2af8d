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
    help if each rank makes it with the same `rank=`. Reports, too, samplers that shuffle by another
    seed on each rank, or in another epoch: they deal out different orders, and some samples go to
    several ranks, others to none.

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
        self.apart: dict[int, ReadAlike] = {}

    def batch(self, event: Batch) -> None:
        if event.form == "epoch":
            self.begun[event.loader] = event
        elif event.form == "batch":
            self.latest = event.loader

    def read_alike(self, event: ReadAlike) -> None:
        (self.apart if event.both else self.alike)[event.loader] = event

    def step(self, event: Step) -> None:
        if self.latest in self.apart:
            self._parts(event, self.apart[self.latest])
            return
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

    def _parts(self, event: Step, found: ReadAlike) -> None:
        """The ranks deal out different orders."""
        exchange = event.exchange
        if exchange is None or not exchange.averaged or event.skipped:
            return
        if self.cases.again((self.latest, "parts"), event.step + 1):
            return
        begun = self.begun.get(self.latest)
        made = begun.made if begun is not None else None
        self.cases.open(
            (self.latest, "parts"),
            event.step + 1,
            found.sampler or made or found.site,
            f"the `DistributedSampler` of rank {found.other} shuffles by another seed than this "
            "rank's: their parts overlap",
            label="each rank deals out an order of its own",
            because=(
                *because("its loader was made here", made if found.sampler else None),
                *because("read here", found.site if made or found.sampler else None),
                *because("this step used the averaged gradients", event.site),
            ),
            evidence=(
                seen("samples in the parts of both ranks", found.both, 0),
                seen("seed + epoch on this rank", found.seeds[0], found.seeds[1]),
            ),
            help="give the samplers of all ranks one `seed`, and `set_epoch` the same epoch",
            event=event.index,
        )
