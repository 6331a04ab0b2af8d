"""SL102: a trained model was evaluated while parts of it were in train mode."""

from steplens.model.event import Backward, Batch, End, Forward, Mode, Step
from steplens.model.roster import ModeReading, Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.bursts import Burst
from steplens.rules.trees import Trees

BATCHES = 3  # of one DataLoader, each with a forward and no training between


@rule(
    "SL102",
    "evaluation-in-train-mode",
    "warning",
    needs=("forward",),
    claims=("no-grad-keeps-train-mode",),
)
class EvaluationInTrainMode:
    """Forwards without grad of a trained model while dropout or norms were in train mode.

    ## What it does
    Reports forwards without gradient recording, of a model that steps train, that moved running
    statistics or drew random numbers as mode-sensitive modules were in train mode. It must be clear
    that no training step is waiting for their output: three batches of a DataLoader, or a whole
    pass, with no backward and no step between them; or two steps of the model since, with no such
    forward between those and no training forward below it in the same function; or the end of the
    run with no training forward since.

    ## Why is this bad?
    `no_grad()` does not switch modes. Dropout drops, so the score is random and too low; batch norm
    scores each batch by itself, and its running statistics absorb the validation data.

    ## Example
        with torch.no_grad():
            for x, y in val_loader:
                correct += (model(x).argmax(1) == y).sum().item()

    ## Use instead
        model.eval()
        with torch.no_grad():
            for x, y in val_loader:
                correct += (model(x).argmax(1) == y).sum().item()
        model.train()

    ## When it is fine
    MC dropout: only dropouts in train mode, or the same input again and again through a model whose
    norms sleep. `update_bn`, norms with `momentum=None` or reset statistics, outputs thrown away.
    Outputs fed to a training forward or to another optimizer's model (GANs); teachers, targets and
    averaged models, which no optimizer holds; forwards before the first step; pseudo-labels made
    anew at each step; checkpointing. A note where it may be meant: `train()` called just before on
    a model without norms, and generators, which are trained through another model.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = Trees(roster)
        self.bursts: dict[int, Burst] = {}
        self.stepped: set[int] = set()
        self.modes: dict[tuple[int, bool], Mode] = {}  # newest call on each module
        self.trained_at: dict[int, int] = {}  # module -> its newest training forward
        self.recent: dict[int, int] = {}  # training forward -> its module
        self.feeders: set[int] = set()  # modules whose training output goes into another's model
        self.loader = (-1, -1)  # loader and index of the newest batch
        self.began: dict[int, int] = {}  # loader -> index at which its pass began

    def mode(self, event: Mode) -> None:
        self.modes[event.module, event.training] = event

    def batch(self, event: Batch) -> None:
        if event.form == "epoch":
            self.began[event.loader] = event.index
        elif event.form == "batch":
            self.loader = (event.loader, event.index)
        elif event.form == "end":
            for module, burst in list(self.bursts.items()):
                whole = self.began.get(event.loader, event.index) < burst.first.index
                if whole and burst.loader == event.loader and not burst.stirred:
                    self._found(module, burst)

    # -- forwards -----------------------------------------------------------------------------

    def forward(self, event: Forward) -> None:
        if event.grad:
            self._training(event)
        elif event.modes >= 0:
            reading = self.roster.modes[event.modes]
            if reading.awake and self.stepped:
                self._unrecorded(event, reading)

    def _training(self, event: Forward) -> None:
        if not event.recorded:
            return
        self.trained_at[event.module] = event.index
        self.recent[event.index] = event.module
        if len(self.recent) > 64:
            del self.recent[next(iter(self.recent))]
        for index in event.fed_by:
            source = self.recent.get(index, event.module)
            if source not in self.feeders and self._apart(source, event.module):
                self.feeders.add(source)
        for module, burst in list(self.bursts.items()):
            if not burst.forwards.isdisjoint(event.fed_by):
                del self.bursts[module]
            elif module == event.module and not burst.closed:
                burst.closed = True
                if _goes_on(burst.site, event.site):
                    del self.bursts[module]

    def _unrecorded(self, event: Forward, reading: ModeReading) -> None:
        if event.purpose or event.discarded or not event.training:
            return
        if not self._effect(event, reading) or self._left_off(event):
            return
        module = event.module
        if not any(self.trees.trains(optimizer, module) for optimizer in self.stepped):
            return
        for other, burst in list(self.bursts.items()):
            if not burst.forwards.isdisjoint(event.fed_by) and self._apart(other, module):
                del self.bursts[other]
        burst = self.bursts.get(module)
        if burst is None or burst.stirred or burst.closed:
            burst = self.bursts[module] = Burst(event, reading.awake, self._meant(event))
        burst.add(event, *self.loader)
        if burst.batches >= BATCHES:
            self._found(module, burst)

    def _effect(self, event: Forward, reading: ModeReading) -> bool:
        """Whether what is awake was seen to do something: move statistics, or draw numbers."""
        if not set(event.statistics).isdisjoint(reading.awake):
            return True
        ran = reading.awake if event.ran is None else set(event.ran).intersection(reading.awake)
        return bool(event.drew) and any(not self.roster.modules[m].norm for m in ran)

    def _left_off(self, event: Forward) -> bool:
        """Whether it is a training forward for which recording was left off: SL106 tells."""
        return event.off_since >= 0 and self._woken(event.module) > event.off_since

    def _meant(self, event: Forward) -> bool:
        """Whether `train()` was called after the last training forward of the model."""
        return self._woken(event.module) > self.trained_at.get(event.module, event.index)

    def _woken(self, module: int) -> int:
        calls = (self.modes.get((m, True)) for m in self.trees.above(module))
        return max((call.index for call in calls if call is not None), default=-1)

    def _apart(self, one: int, other: int) -> bool:
        """Whether no optimizer trains both modules."""
        trains = self.trees.trains
        return not any(trains(o, one) and trains(o, other) for o in self.roster.optimizers)

    # -- what comes after ---------------------------------------------------------------------

    def backward(self, event: Backward) -> None:
        for burst in self.bursts.values():
            burst.stirred = True

    def step(self, event: Step) -> None:
        if event.skipped:
            return
        if event.uses:
            self.stepped.add(event.optimizer)
        for module, burst in list(self.bursts.items()):
            burst.stirred = True
            if self.trees.trains(event.optimizer, module):
                steps = burst.steps[event.optimizer] = burst.steps.get(event.optimizer, 0) + 1
                if steps >= 2:
                    self._found(module, burst)
            elif not burst.steps:  # what was made may have gone into the other model
                del self.bursts[module]

    def end(self, event: End) -> None:
        for module, burst in list(self.bursts.items()):
            if event.status == "done" and not burst.closed and not burst.steps:
                self._found(module, burst)

    def _found(self, module: int, burst: Burst) -> None:
        del self.bursts[module]
        norms = [m for m in burst.moved if m in burst.awake]
        if not norms and burst.repeats:
            return
        step = max(burst.first.step, 1)
        if not self.cases.again(module, step):
            sure = bool(norms) or not burst.meant
            self._open(module, burst, norms, step, sure and module not in self.feeders)

    def _open(self, module: int, burst: Burst, norms: list[int], step: int, sure: bool) -> None:
        name = self.roster.module_name(module)
        calls = [self.modes.get((m, True)) for m in self.trees.above(module)]
        call = max((c for c in calls if c is not None), key=lambda c: c.index, default=None)
        others = tuple(m for m in burst.awake if m not in norms)
        evidence = [seen("forwards without grad", burst.count)]
        if norms:
            names = self.trees.names(tuple(norms))
            evidence.append(seen("running statistics moved", f"in {len(norms)} norms: {names}", 0))
        if burst.drew and others:
            names = self.trees.names(others)
            evidence.append(seen("random numbers drawn", f"in {burst.drew} forwards: {names}", 0))
        self.cases.open(
            module,
            step,
            burst.site,
            f"`{name}` was evaluated while {len(burst.awake)} of its modules were in train mode",
            label="ran in train mode, without grad",
            because=because("switched to train mode here", call.site if call else None),
            evidence=evidence,
            help=f"call `{name}.eval()` before the evaluation and `{name}.train()` after it",
            severity=None if sure else "note",
            event=burst.first.index,
        )


def _goes_on(burst: Site | None, training: Site | None) -> bool:
    """Whether the training forward stands further down in the same function: it may use what was
    made above it."""
    if burst is None or training is None:
        return False
    same = (burst.file, burst.function) == (training.file, training.function)
    return same and burst.line < training.line
