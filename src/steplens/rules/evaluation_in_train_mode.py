"""SL102: a trained model was evaluated while parts of it were in train mode."""

from steplens.model.event import Backward, Batch, End, Forward, GradCall, Mode, Step
from steplens.model.roster import ModeReading, Roster
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.bursts import Burst, Bursts
from steplens.rules.trees import Trees
from steplens.rules.unanswered import Unanswered
from steplens.rules.untrained import Passes


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
    run with no training forward since. With gradient recording on as well: a whole pass over a
    DataLoader with which nothing is ever trained, whose forwards no backward had reached when the
    model's next step came; or forwards at a line none of whose forwards a backward ever reaches,
    with two steps of the model after them and no other such forward between (a note where the run
    ends with them).

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
        self.bursts = Bursts(self.trees, self._found)
        self.passes = Passes(self.trees, self._whole_pass)
        self.unanswered = Unanswered(self.trees, self._no_backward)
        self.stepped: set[int] = set()
        self.modes: dict[int, Mode] = {}  # module -> newest train() on it
        self.trained_at: dict[int, int] = {}  # module -> its newest training forward
        self.recent: dict[int, int] = {}  # training forward -> its module
        self.feeders: set[int] = set()  # modules whose training output goes into another's model

    def mode(self, event: Mode) -> None:
        if event.training:
            self.modes[event.module] = event

    def batch(self, event: Batch) -> None:
        self.bursts.batch(event)
        self.passes.batch(event)

    def backward(self, event: Backward) -> None:
        self.bursts.backward()
        self.passes.backward(event)
        self.unanswered.backward(event)

    def grad(self, event: GradCall) -> None:
        self.unanswered.backward(event)

    def step(self, event: Step) -> None:
        if event.skipped:
            return
        if event.uses:
            self.stepped.add(event.optimizer)
        self.bursts.step(event)
        self.passes.step(event)
        self.unanswered.step(event)

    def end(self, event: End) -> None:
        self.bursts.end(event)
        self.passes.end(event)
        self.unanswered.end(event)

    def forward(self, event: Forward) -> None:
        if event.grad:
            if event.recorded:
                self._training(event)
        elif event.modes >= 0:
            reading = self.roster.modes[event.modes]
            if reading.awake and self.stepped and self._counts(event, reading):
                self.bursts.add(event, reading.awake, self._meant(event))

    def _training(self, event: Forward) -> None:
        self.trained_at[event.module] = event.index
        self.recent[event.index] = event.module
        if len(self.recent) > 64:
            del self.recent[next(iter(self.recent))]
        for index in event.fed_by:
            source = self.recent.get(index, event.module)
            if source not in self.feeders and self.trees.apart(source, event.module):
                self.feeders.add(source)
        if self.bursts.open:
            self.bursts.training(event)
        if self.unanswered.bouts:
            self.unanswered.fed(event)
        if event.modes >= 0 and event.training and self.stepped:
            awake = self.roster.modes[event.modes].awake
            if awake and any(self.trees.trains(number, event.module) for number in self.stepped):
                if not event.discarded:
                    self.unanswered.forward(event)
                if self.passes.open:
                    self.passes.forward(event)

    def _counts(self, event: Forward, reading: ModeReading) -> bool:
        """Whether this can be an evaluation: of a trained model, for its output, with effect."""
        if event.purpose or event.discarded or not event.training:
            return False
        if event.off_since >= 0 and self._woken(event.module) > event.off_since:
            return False  # a training forward for which recording was left off: SL106 tells
        if not any(self.trees.trains(optimizer, event.module) for optimizer in self.stepped):
            return False
        if not set(event.statistics).isdisjoint(reading.awake):
            return True
        ran = reading.awake if event.ran is None else set(event.ran).intersection(reading.awake)
        return bool(event.drew) and any(not self.roster.modules[m].norm for m in ran)

    def _meant(self, event: Forward) -> bool:
        """Whether `train()` was called after the last training forward of the model."""
        return self._woken(event.module) > self.trained_at.get(event.module, event.index)

    def _woken(self, module: int) -> int:
        call = self._call(module)
        return call.index if call is not None else -1

    def _call(self, module: int) -> Mode | None:
        """The newest `train()` on a module or one that holds it."""
        calls = [self.modes[m] for m in self.trees.above(module) if m in self.modes]
        return max(calls, key=lambda call: call.index, default=None)

    def _found(self, module: int, burst: Burst) -> None:
        norms = [m for m in burst.moved if m in burst.awake]
        if not norms and burst.repeats:
            return
        step = max(burst.first.step, 1)
        if not self.cases.again(module, step):
            sure = bool(norms) or not burst.meant
            self._open(module, burst, norms, step, sure and module not in self.feeders)

    def _open(self, module: int, burst: Burst, norms: list[int], step: int, sure: bool) -> None:
        name = self.roster.module_name(module)
        call = self._call(module)
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
            burst.first.site,
            f"`{name}` was evaluated while {len(burst.awake)} of its modules were in train mode",
            label="ran in train mode, without grad",
            because=because("switched to train mode here", call.site if call else None),
            evidence=evidence,
            help=f"call `{name}.eval()` before the evaluation and `{name}.train()` after it",
            severity=None if sure else "note",
            event=burst.first.index,
        )

    def _whole_pass(self, event: Forward, count: int) -> None:
        """A pass over a DataLoader that nothing trains with, in train mode and with grad on."""
        said = "went through a whole pass that trained nothing"
        self._with_grad(event, said, "forwards in the pass, with gradient recording on", count)

    def _no_backward(self, event: Forward, count: int, sure: bool) -> None:
        """Forwards at a line that no backward ever reaches."""
        said = "ran for no backward and no step"
        subject = "forwards at this line before the next step"
        if not sure:
            subject = "forwards at this line after the last step"
        self._with_grad(event, said, subject, count, sure)

    def _with_grad(
        self, event: Forward, said: str, subject: str, count: int, sure: bool = True
    ) -> None:
        name, step = self.roster.module_name(event.module), max(event.step, 1)
        if self.cases.again(event.module, step):
            return
        awake = self.roster.modes[event.modes].awake
        norms = any(self.roster.modules[module].norm for module in awake)
        sure = sure and (norms or not self._meant(event)) and event.module not in self.feeders
        call = self._call(event.module)
        self.cases.open(
            event.module,
            step,
            event.site,
            f"`{name}` {said}, with {len(awake)} of its modules in train mode",
            label="ran in train mode, and no backward came",
            because=because("switched to train mode here", call.site if call else None),
            evidence=[
                seen(subject, count),
                seen("in train mode", self.trees.names(awake), "none in an evaluation"),
            ],
            help=f"call `{name}.eval()` before the evaluation and `{name}.train()` after it, and "
            "evaluate under `torch.no_grad()`",
            severity=None if sure else "note",
            event=event.index,
        )
