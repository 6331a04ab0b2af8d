"""SL403: graphs retained for a second backward that never comes."""

from steplens.model.event import Backward, GradCall, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen

STEPS = 5  # at which a graph was retained and not used


@rule("SL403", "retain-graph-unused", "note", needs=("backward",))
class RetainGraphUnused:
    """Graphs retained at every step, and no second backward.

    ## What it does
    Notes `backward(retain_graph=True)` at five steps, when no later backward and no
    `torch.autograd.grad` has gone through a retained graph again.

    ## Why is this bad?
    All tensors saved for the backward stay in memory as long as the loss is in scope, often through
    the next forward: the peak is nearly doubled. It also hides the error that torch would raise for
    a state that is never detached.

    ## Example
        loss.backward(retain_graph=True)
        optimizer.step()

    ## Use instead
        loss.backward()
        optimizer.step()

    ## When it is fine
    Two losses on one graph, gradient penalties, attribution: any second use takes the note back.
    `create_graph=True` retains the graph by its nature and is not counted.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.retained: dict[object, int] = {}  # line -> steps
        self.forwards = Newest[int, object](64)  # forwards of the graphs now retained -> line
        self.used: set[object] = set()
        self.last: Backward | None = None

    def backward(self, event: Backward) -> None:
        if event.again and self.last is not None:
            self._use(self.last.site)
        for forward in event.forwards:
            if forward in self.forwards:
                self._use(self.forwards[forward])
        self.last = None
        if event.retain_graph and not event.create_graph:
            self.last = event
            for forward in event.forwards[-8:]:
                self.forwards[forward] = event.site

    def grad(self, event: GradCall) -> None:
        for forward in event.forwards:
            if forward in self.forwards:
                self._use(self.forwards[forward])

    def _use(self, site: object) -> None:
        self.used.add(site)
        self.cases.withdraw(site)

    def step(self, event: Step) -> None:
        last = self.last
        if last is None or last.site in self.used:
            return
        count = self.retained[last.site] = self.retained.get(last.site, 0) + self.cases.weight
        if count < STEPS or self.cases.again(last.site, event.step + 1):
            return
        more = count - STEPS  # of steps that were counted together
        self.cases.open(
            last.site,
            event.step + 1 - more,
            last.site,
            f"the graph was retained at {STEPS} steps, and no backward used it a second time",
            label="`retain_graph=True`",
            evidence=(seen("second uses of a retained graph", 0),),
            help="leave out `retain_graph=True`",
            event=last.index,
        )
        if more:
            self.cases.amend(last.site, count=1 + more, last_step=event.step + 1)
