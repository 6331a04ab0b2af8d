"""SL506: the same batch, or the same random numbers, again and again."""

from steplens.model.event import Batch, Redraw, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules import redraws
from steplens.rules.base import Cases, rule
from steplens.rules.cycled import Cycled
from steplens.rules.firsts import Firsts
from steplens.rules.leftovers import Leftovers
from steplens.rules.passes import Pass


@rule("SL506", "same-batch-again", "warning", needs=("batch", "redraw"))
class SameBatchAgain:
    """The same batch content at every step, or the same random numbers drawn again.

    ## What it does
    Reports a seed that is set to the same value at the same line again and again while one model is
    trained, when the generator's state shows that the same numbers were drawn after it. Reports a
    loader of several batches, or loaders made anew at one line, of which every step, or every part
    of an accumulated one, takes a new pass and the same first batch; or one whose iterator has
    ended, at a call such as `next`, while training goes on with its last batch. Notes
    a shuffling loader whose passes begin with the same batch, or one that is made anew for each
    pass over the same dataset, while the same optimizer steps; one whose first pass
    `itertools.cycle` keeps and gives again; a `torch.randperm` or `torch.randint` with a generator
    of the program's own that gives the same again, or noise (`rand`, `randn`, `normal`,
    `bernoulli`, `multinomial`) that is the same at three steps in a row while other numbers come
    anew; and a seed that a layer sets in its forward, where other code draws after it.

    ## Why is this bad?
    The order of the samples, their augmentation, the noise and the dropout masks repeat: the model
    learns these draws by heart. The training loss looks better than it is.

    ## Example
        for epoch in range(epochs):
            torch.manual_seed(0)
            train(model, loader)

    ## Use instead
        torch.manual_seed(0)
        for epoch in range(epochs):
            train(model, loader)

    ## When it is fine
    Seeds that differ from epoch to epoch, a seed for each fold or each new model, a seed that a
    dataset sets once in each pass (its samples are made up of what it then draws), numbers that are
    drawn under `fork_rng`, a dataset of one batch, and a batch that is taken once and kept. A last
    batch counts from two batches' worth of steps and eight more on. Of generators that the program
    seeds by their own method these functions alone are heard, in the user's own lines; not those
    with which nothing is trained, and no noise that is drawn without gradient recording, in a
    model, or before an evaluation. Of large batches a sample of the elements is compared.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.passes = Newest[int, Pass](64)
        self.firsts = Firsts(cases)
        self.cycled = Cycled(cases)
        self.leftovers = Leftovers(cases)

    def batch(self, event: Batch) -> None:
        current = self.passes.get(event.loader)
        if event.form in ("epoch", "batch"):
            self.leftovers.read(event.loader)
        if event.form == "epoch":
            begun = Pass(event)
            if current is not None and current.goes_on:
                begun.follow(current)
            self.passes.pop(event.loader, None)
            self.passes[event.loader] = begun
            if current is not None:
                self._order(current, begun)
            elif event.data >= 0:
                self._follow(event, begun)
        elif event.form == "cycled" and current is not None:
            self.cycled.end(event.loader, current)
        elif event.form == "end" and current is not None:
            self.leftovers.end(event.loader, current)
        elif event.form == "left" and current is not None:
            self.leftovers.found(event, current)
        elif event.form == "batch" and current is not None:
            for loader, other in self.passes.items():
                other.alone = other.alone and loader == event.loader
            current.batches += self.cases.weight
            if current.batches == 1:
                self.firsts.begin(event, current)

    def _follow(self, event: Batch, begun: Pass) -> None:
        """A new loader over a dataset may go on as the one before did."""
        passes = list(self.passes.values())[:-1]  # the last is this one
        past = passes[-1] if passes else None
        alike = past is not None and (past.made, past.data) == (event.made, event.data)
        if past is not None and alike and past.goes_on:
            begun.follow(past)
        others = [other for other in passes if other.data == event.data]
        if event.shuffled and others and others[-1].shuffled:
            self._order(others[-1], begun)
            begun.trained = others[-1].optimizers

    def _order(self, past: Pass, begun: Pass) -> None:
        """Remember the first batch of a shuffled pass, to compare with the next one's."""
        if past.shuffled and past.batches > 1 and not begun.digest:
            begun.digest, begun.seen, begun.alike = past.digest, 0, past.alike

    def step(self, event: Step) -> None:
        for current in self.passes.values():
            current.steps += self.cases.weight
        self.cycled.step(event)
        self.leftovers.step(event)
        current = next(reversed(self.passes.values()), None)
        if current is not None and current.batches:
            current.optimizers.add(event.optimizer)
            if current.trained is not None and event.optimizer in current.trained:
                current.trained = None
                self.firsts.note(event.step, event.index, current)

    def redraw(self, event: Redraw) -> None:
        for current in self.passes.values():  # the cause of the order, too
            self.firsts.noted.add(current.key)
            self.cases.withdraw(current.key)
        redraws.tell(self.cases, event)
