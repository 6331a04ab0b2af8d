"""SL507: two DataLoader workers that drew the same numbers."""

from steplens.model.event import Alike
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen

KEPT = ("torch", "random", "numpy.random")


@rule("SL507", "workers-draw-alike", "warning", needs=("batch",))
class WorkersDrawAlike:
    """Two DataLoader workers that drew the same random numbers.

    ## What it does
    In forked workers, notes checksums of the generators' states before the first batch and after
    the first three: torch's, numpy's and Python's own, and those that the dataset keeps or that are
    global in its module. Reports two workers that began in the same state and came to the same
    other one.

    ## Why is this bad?
    Each worker has a copy of the dataset. A generator that was made before the copies were taken
    gives every worker the same numbers, and every epoch the same again: of the augmentations meant,
    only one in as many as there are workers is new.

    ## Example
        def __init__(self):
            self.rng = np.random.default_rng(0)

    ## Use instead
        def __getitem__(self, i):
            if self.rng is None:
                self.rng = np.random.default_rng(torch.initial_seed())

    ## When it is fine
    torch seeds its own, Python's and numpy's global generators in each worker. Generators that a
    dataset seeds anew for each sample part at the first batch. An iterable dataset may use one
    order in all workers to divide it among them: there it is a note. Workers that were spawned
    and generators held in deeply nested objects are not looked at.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases

    def alike(self, event: Alike) -> None:
        own = event.what not in KEPT
        at = (event.stored or event.made or event.site) if own else (event.made or event.site)
        cause = (at, event.what)
        if self.cases.again(cause, event.step + 1):
            return
        self.cases.open(
            cause,
            event.step + 1,
            at,
            f"workers {event.workers[0]} and {event.workers[1]} drew the same random numbers from "
            f"`{event.what}`",
            label="each worker gets a copy of this generator" if own else "these workers",
            because=(
                *because("numbers are drawn here", event.drawn if own else None),
                *because("the loader was made here", event.made if event.made != at else None),
                *because("its workers begin here", event.seeded if not own else None),
            ),
            evidence=(
                seen("state before the first batch", "the same in both workers", "different"),
                seen("state after a later one", "the same in both workers", "different"),
            ),
            help="make the generator in the worker, from `torch.initial_seed()`"
            if own
            else "let `worker_init_fn` use its worker's number, or leave it out",
            severity="note" if event.iterable else None,
            event=event.index,
        )
