"""SL507: two DataLoader workers that drew the same numbers, or handed out the same batches."""

from steplens.model.event import Alike
from steplens.model.event.data import SAME_BATCHES
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen

KEPT = ("torch", "random", "numpy.random")


@rule("SL507", "workers-draw-alike", "warning", needs=("batch",))
class WorkersDrawAlike:
    """Two DataLoader workers that drew the same random numbers, or read the same samples.

    ## What it does
    In forked workers, notes checksums of the generators' states before the first batch and after
    the first three: torch's, numpy's and Python's own, and those that the dataset keeps or that are
    global in its module. Reports two workers that began in the same state and came to the same
    other one, and a worker whose generator went through the same states in two passes of one
    loader, with steps made as they were read. Of an iterable dataset it compares the first three
    batches of each worker, by their content, and reports two workers that gave the same ones.

    ## Why is this bad?
    Each worker has a copy of the dataset. A generator that was made before the copies were taken
    gives every worker the same numbers, and every epoch the same again: of the augmentations meant,
    only one in as many as there are workers is new. An iterable dataset is read from end to end by
    each worker: where it does not divide itself, every sample comes once from each of them.

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
    order in all workers to divide it among them: there it is a note, unless the batches are the
    same, too. Workers that give one and the same batch all the time are not reported. Generators of
    workers that were spawned, or held in deeply nested objects, are not looked at.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.notes: dict[int, Alike] = {}  # loader -> what its workers drew alike

    def alike(self, event: Alike) -> None:
        if not event.what:
            self._samples(event)
            return
        if event.iterable:
            self.notes[event.loader] = event
        own = event.what not in KEPT
        at = (event.stored or event.made or event.site) if own else (event.made or event.site)
        cause = (at, event.what)
        if self.cases.again(cause, event.step + 1):
            return
        one, two = event.workers
        again, other = one == two, "different"
        kind = "passes" if again else "workers"
        self.cases.open(
            cause,
            event.step + 1,
            at,
            (
                f"worker {one} drew the same random numbers in two passes from "
                if again
                else f"workers {one} and {two} drew the same random numbers from "
            )
            + f"`{event.what}`",
            label="each worker gets a copy of this generator" if own else "these workers",
            because=(
                *because("numbers are drawn here", event.drawn if own else None),
                *because("the loader was made here", event.made if event.made != at else None),
                *because("its workers begin here", event.seeded if not own else None),
            ),
            evidence=(
                seen("state before the first batch", same := f"the same in both {kind}", other),
                seen("state after a later one", same, other),
            ),
            help="seed it from `torch.initial_seed()`, all of it, which differs in each pass"
            if again
            else "make the generator in the worker, from `torch.initial_seed()`"
            if own
            else "let `worker_init_fn` use its worker's number, or leave it out",
            severity="note" if event.iterable else None,
            event=event.index,
        )

    def _samples(self, event: Alike) -> None:
        """Two workers gave the same batches; a generator that they share says why."""
        note = self.notes.pop(event.loader, None)
        at = event.made or event.site
        if note is not None:
            at = note.stored or note.made or event.site
            self.cases.withdraw((at, note.what))
        cause = (at, "batches")
        if self.cases.again(cause, event.step + 1):
            return
        self.cases.open(
            cause,
            event.step + 1,
            at,
            f"workers {event.workers[0]} and {event.workers[1]} handed out the same batches: each "
            "sample comes from both",
            label="each worker gets a copy of this dataset"
            if note is None
            else "each worker gets a copy of this generator",
            because=(
                *because("numbers are drawn here", note.drawn if note is not None else None),
                *because("each worker runs all of this", event.stored),
                *because("a generator is seeded here, alike in each worker", event.drawn),
                *because("the loader was made here", event.made if event.made != at else None),
            ),
            evidence=(
                seen("batches compared of each worker", SAME_BATCHES),
                seen("batches of one worker that the other gave, too", SAME_BATCHES, 0),
            ),
            help="divide the samples, or seed the generator, in `__iter__` by "
            "`torch.utils.data.get_worker_info()`",
            event=event.index,
        )
