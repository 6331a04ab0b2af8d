"""SL527: epochs without a step, as the first one has used up the batches."""

from collections import Counter

from steplens.model.event import End, Forward, GradMode, Mode, Spent, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen

MOST = 16  # loops followed
AGAIN = 2  # rounds before a step elsewhere: one may be the first of the function's next call


@rule("SL527", "batches-used-up", "error", needs=("step",))
class BatchesUsedUp:
    """Epochs that train on nothing, as the first one has used up the batches.

    ## What it does
    Reports a loop with a backward over something that can be gone through once, a generator or an
    iterator (`zip`, `map`, `iter(loader)`), which is bound outside of the loop of epochs around it,
    when a further round of that loop came by and no step was made in it.

    ## Why is this bad?
    A generator that has ended gives nothing any more, and says nothing: from the second epoch on
    the loop over the batches has no round. Its epochs go by in an instant, and what is printed as
    their loss is that of the last batch of the first one.

    ## Example
        batches = make_batches(data)  # a generator
        for epoch in range(10):
            for x, y in batches:
                train_step(x, y)

    ## Use instead
        for epoch in range(10):
            for x, y in make_batches(data):
                train_step(x, y)

    ## When it is fine
    Iterators without an end, loops that are left by `break`, and what is bound anew in each round.
    A round is known by a line of the loop of epochs that calls something of torch's (`train()`,
    `no_grad()`, a forward): without one nothing is said.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.loops: list[Spent] = []
        self.passed: dict[int, Counter[int]] = {}  # Spent -> lines of its rounds since a step
        self.stepped = False

    def spent(self, event: Spent) -> None:
        if len(self.loops) < MOST:
            self.loops.append(event)

    def step(self, event: Step) -> None:
        self.stepped = True
        if self.passed:
            self._judge(event, AGAIN)
            self.passed.clear()

    def mode(self, event: Mode) -> None:
        self._by(event)

    def grad_mode(self, event: GradMode) -> None:
        if event.form == "enter":
            self._by(event)

    def forward(self, event: Forward) -> None:
        self._by(event)

    def end(self, event: End) -> None:
        if event.status == "done":
            self._judge(event, 1)

    def _by(self, event: Mode | GradMode | Forward) -> None:
        site = event.site
        if not self.loops or site is None or not self.stepped:
            return
        for loop in self.loops:
            at = loop.site
            same = at is not None and (at.file, at.cell, at.function) == (
                (site.file, site.cell, site.function)
            )
            if same and site.line in loop.marks:
                self.passed.setdefault(loop.index, Counter())[site.line] += 1

    def _judge(self, event: Step | End, least: int) -> None:
        """Lines above the inner loop were passed in further rounds only, those below it in the
        first one as well."""
        for loop in self.loops:
            passed, at = self.passed.get(loop.index, Counter[int]()), loop.site
            line = at.line if at is not None else 0
            rounds = [count - (mark > line) for mark, count in passed.items()]
            if max(rounds, default=0) < least or self.cases.again(at, event.step):
                continue
            self.cases.open(
                at,
                max(event.step, 1),
                at,
                f"`{loop.name}` gives nothing any more: the first epoch has used it up, and no "
                "step was made in those after it",
                label="this loop has no round from the second epoch on",
                because=because("bound here, once for all epochs", loop.made),
                evidence=(seen("epochs that went by without a step", max(rounds), 0),),
                help=f"make `{loop.name}` anew in each epoch, or a list of it",
                event=event.index,
            )
