"""SL102: a trained model was evaluated while parts of it were in train mode."""

from steplens.model.event import Backward, Batch, End, Forward, GradCall, Load, Mode, Step
from steplens.model.roster import ModeReading, Roster
from steplens.rules.base import Cases, rule
from steplens.rules.bursts import Bursts
from steplens.rules.evaluations import Evaluations
from steplens.rules.missed import Missed
from steplens.rules.restored import Restored
from steplens.rules.trees import Trees
from steplens.rules.unanswered import Unanswered
from steplens.rules.untrained import Passes
from steplens.rules.woken import Woken


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
    statistics or drew random numbers as mode-sensitive modules were in train mode. No training step
    may wait for their output: three batches of a DataLoader, or a whole pass, with no backward and
    no step between; or two steps of the model since, with no such forward between and no training
    forward below it in the same function; or the end of the run. With gradient recording on: a
    whole pass over a DataLoader that trains nothing, or a line whose forwards no backward ever
    reaches, with two steps of the model after them. And a model with loaded weights that answers at
    the end of a run, never put in eval mode; one whose own `train` method kept `eval()` from all in
    it, or whose own flag alone was set (`model.training = False`); a copy (an average) that was
    asked after `eval()` on the model, which did not run; if its training steps call `train()` on
    the copy, then at a line of its own, to the end of the run, with no backward after it.

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
    a model without norms; generators, which are trained through another model; and a decoder that
    is asked for samples: it trains on what an encoder, or the rest of its model, gives it, and was
    given something else. Nothing where the line says that these two are given noise
    (`netG(fixed_noise)`, drawn by `torch.randn`).
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = Trees(roster)
        self.woken = Woken(self.trees)
        self.told = told = Evaluations(roster, cases, self.trees, self.woken)
        self.bursts = Bursts(self.trees, told.without_grad)
        self.passes = Passes(self.trees, told.whole_pass)
        self.unanswered = Unanswered(self.trees, told.no_backward)
        self.restored = Restored(self.trees, told.restored)
        self.missed = Missed(roster, cases, self.trees)
        self.stepped: set[int] = set()

    def load(self, event: Load) -> None:
        self.restored.load(event)

    def mode(self, event: Mode) -> None:
        self.restored.mode(event)
        self.missed.mode(event)
        self.woken.mode(event)

    def batch(self, event: Batch) -> None:
        self.bursts.batch(event)
        self.passes.batch(event)

    def backward(self, event: Backward) -> None:
        self.missed.backward()
        self.woken.backward(event)
        self.restored.stirred()
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
        self.woken.step(event)
        self.restored.stirred()
        self.bursts.step(event)
        self.passes.step(event)
        self.unanswered.step(event)

    def end(self, event: End) -> None:
        self.bursts.end(event)
        self.passes.end(event)
        self.unanswered.end(event)
        self.missed.end(event)
        self.restored.end(event)

    def forward(self, event: Forward) -> None:
        self.missed.ran(event)
        self.woken.forward(event)
        if event.grad:
            if event.recorded:
                self._training(event)
        elif event.modes >= 0 and (reading := self.roster.modes[event.modes]).awake:
            self.restored.forward(event, self.cases.weight)
            self.missed.forward(event, reading)
            if self.stepped and self._counts(event, reading):
                self.bursts.add(event, reading.awake, self.woken.meant(event))

    def _training(self, event: Forward) -> None:
        self.restored.training(event)
        self.woken.training(event)
        if self.bursts.open:
            self.bursts.training(event)
        if self.unanswered.bouts:
            self.unanswered.fed(event)
        if event.modes >= 0 and event.training and self.stepped:
            awake = self.roster.modes[event.modes].awake
            if awake and any(self.trees.trains(number, event.module) for number in self.stepped):
                if not event.discarded:
                    self.unanswered.forward(event)
                self.passes.forward(event)

    def _counts(self, event: Forward, reading: ModeReading) -> bool:
        """Whether this can be an evaluation: of a trained model, for its output, with effect."""
        if event.purpose or event.discarded or not event.training:
            return False
        if event.off_since >= 0 and self.woken.at(event.module) > event.off_since:
            return False  # a training forward for which recording was left off: SL106 tells
        if not any(self.trees.trains(optimizer, event.module) for optimizer in self.stepped):
            return False
        if not set(event.statistics).isdisjoint(reading.awake):
            return True
        ran = reading.awake if event.ran is None else set(event.ran).intersection(reading.awake)
        return bool(event.drew) and any(not self.roster.modules[m].norm for m in ran)
