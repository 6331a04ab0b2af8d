"""SL313: a second model that is the first one in other clothes."""

from steplens.model.event import Backward, Forward, Load, Shared, Step, Vain
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules import shared_moments
from steplens.rules.anchors import Anchors
from steplens.rules.base import Cases, because, rule, seen

TIMES = 2  # steps before which both models ran


@rule("SL313", "copy-shares-storage", "warning", needs=("step",))
class CopySharesStorage:
    """A second model whose parameters lie in the memory of the one being trained.

    ## What it does
    Reports a module of the same class as the model that an optimizer steps, another object, all of
    whose parameters share memory with the model's: a `copy.copy` of it; or a target, teacher or
    averaged network that was filled by assignment (`p.data = q.data`, `assign=True`), once it has
    run beside the model at two steps without being trained itself. Notes a penalty on the
    difference between parameters and where they stood (`(p - anchor[n]).pow(2)`), which is exactly
    0 at three looks with steps between: a warning, where the graph says that a parameter is
    subtracted from itself. Warns of a list of layers that was made by repeating one, where the line
    makes that one itself: `nn.ModuleList([Layer()] * 4)`; of `best_model = model` under an `if`
    that keeps the best of something, in a loop that trains; and of
    `b.load_state_dict(a.state_dict())` of two optimizers that then step in turn, in one memory for
    the moments of both.

    ## Why is this bad?
    The copy was to stand still, or to follow slowly. It moves with every step of the model: a best
    copy is the last model, a target network chases itself.

    ## Example
        target = copy.copy(policy)

    ## Use instead
        target = copy.deepcopy(policy)

    ## When it is fine
    Tied weights inside one model, two models that share a part (an encoder), wrappers of another
    class, and two that share everything and are both trained are not reported; nor is a layer that
    has a name of its own and is put into a list several times; nor a best model that is saved or
    left off with at once, that gets a state loaded, or that is one of several made in the loop; nor
    an optimizer that hands its state over and steps no more.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.copies: dict[int, Shared] = {}  # copy -> what is known of it
        self.runs: dict[int, Forward] = {}  # forward index -> a forward of a copy, since the step
        self.others: set[int] = set()  # models that ran since the last step
        self.times: dict[int, int] = {}
        self.trained: set[int] = set()
        self.anchors = Anchors(roster, cases)
        self.lines: set[tuple[str, int] | None] = set()  # that keep a copy of the best

    def shared(self, event: Shared) -> None:
        self.copies[event.module] = event
        if event.shallow and self._new(event.made):
            self._open(event, event.step, None)

    def load(self, event: Load) -> None:
        if event.what == "moments":
            shared_moments.tell(self.roster, self.cases, event)

    def vain(self, event: Vain) -> None:
        if event.what == "best":
            self._best(event)
        if event.what != "repeat" or self.cases.again(event.site, event.step + 1):
            return
        count = int(event.value or 0)
        self.cases.open(
            event.site,
            event.step + 1,
            event.site,
            f"the {count} layers of this list are one: `{event.name}` makes one and repeats it",
            label="one set of parameters",
            evidence=(seen("layers that are different modules", 1, count),),
            help="make each of them: `[Layer() for _ in range(n)]`",
            event=event.index,
        )

    def _best(self, event: Vain) -> None:
        if self._new(event.site):
            self.cases.open(
                event.site,
                event.step + 1,
                event.site,
                f"`{event.name}` keeps the model itself, which trains on: what was best is the "
                "last model",
                label="a second name, not a copy",
                help="keep a copy: `copy.deepcopy(model)`",
                event=event.index,
            )

    def _new(self, made: Site | None) -> bool:
        """Whether nothing has been told of a copy that this line makes."""
        line = (made.file, made.line) if made is not None else None
        new = line is None or line not in self.lines
        self.lines.add(line)
        return new

    def forward(self, event: Forward) -> None:
        if self.copies:
            if event.module in self.copies:
                self.runs[event.index] = event
            elif event.training:
                self.others.add(event.module)

    def backward(self, event: Backward) -> None:
        if event.graph is not None and event.graph.apart:
            self.anchors.backward(event)
        for forward in event.forwards if self.runs else ():
            run = self.runs.pop(forward, None)
            if run is not None:
                self.trained.add(run.module)
                self.cases.withdraw(run.module)

    def step(self, event: Step) -> None:
        self.anchors.step(event)
        if not self.copies:
            return
        for run in self.runs.values():
            known = self.copies[run.module]
            if known.model in self.others and run.module not in self.trained:
                times = self.times[run.module] = self.times.get(run.module, 0) + 1
                if times == TIMES and run.module not in self.cases.findings:
                    self._open(known, event.step + 1, run)
        self.runs.clear()
        self.others.clear()

    def _open(self, event: Shared, step: int, run: Forward | None) -> None:
        at = event.given or event.made or event.site
        copy, model = (self.roster.module_name(number) for number in (event.module, event.model))
        self.cases.open(
            event.module,
            step,
            at,
            f"`{copy}` is another module than `{model}`, and all its parameters are the same "
            "memory: it moves with every step",
            label="copied without its parameters"
            if event.shallow
            else ("given the other's memory" if event.given else "made here"),
            because=(
                *because("made here", event.made if event.made != at else None),
                *because("the model is stepped here", event.site),
                *because("and runs beside the model here", run.site if run else None),
            ),
            evidence=[
                seen(f"parameters of `{copy}` in the memory of `{model}`", event.tensors, 0),
            ],
            help="copy it with `copy.deepcopy`, and write values with `p.copy_(q)` or "
            "`load_state_dict`, not by assigning `p.data`",
            event=event.index,
        )
