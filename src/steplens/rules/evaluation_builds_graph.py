"""SL103: a forward in eval mode built a graph that nothing ever used."""

from steplens.model.event import Backward, End, Forward, GradCall, Idle, Load, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen
from steplens.rules.guests import Guest, Guests
from steplens.rules.plain_forwards import PlainForwards
from steplens.rules.trees import Trees

KEPT = 512


@rule(
    "SL103", "evaluation-builds-graph", "note", needs=("forward",), claims=("eval-is-not-no-grad",)
)
class EvaluationBuildsGraph:
    """Forwards in eval mode that built a graph on which no backward ever ran.

    ## What it does
    Reports forwards of a trained model in eval mode whose output carried a graph, once that graph
    has died, or the run has ended, without a backward or `autograd.grad` having reached it. Also a
    model in eval mode that runs with recording on in each training step (a teacher, a target), when
    three steps have used nothing of the gradients that it got, as one in train mode that no
    optimizer holds and that is given the weights of another. And forwards of a trained model in
    train mode, where the mode makes no difference, at a line none of whose forwards a backward
    ever reached, when two steps have followed.

    ## Why is this bad?
    `eval()` does not switch gradient recording off. The evaluation keeps every intermediate value
    for a backward that never comes: it needs the memory of training, and more time.

    ## Example
        model.eval()
        for x, y in val_loader:
            correct += (model(x).argmax(1) == y).sum().item()

    ## Use instead
        model.eval()
        with torch.no_grad():
            for x, y in val_loader:
                correct += (model(x).argmax(1) == y).sum().item()

    ## When it is fine
    A graph that `autograd.grad`, also within the forward, or a later backward reaches: saliency
    maps, adversarial examples, a loss kept for later; a model through which the gradient passes on
    its way to another's output or to an image. Models that no step has trained are not looked at.
    When the death of a graph was not seen, the finding waits for the end of the run.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = Trees(roster)
        self.pending = Newest[int, Forward](KEPT)
        self.starts = Newest[int, Site | None](KEPT)  # where the first one that fed it ran
        self.targets = Newest[int, Forward](KEPT)  # of targets in train mode
        self.stepped: set[int] = set()
        self.inner = False  # `autograd.grad` has run through no graph of a forward that has ended
        self.guests = Guests(roster, self.trees)
        self.plain = PlainForwards(roster, cases, self.trees)

    def load(self, event: Load) -> None:
        self.guests.load(event)

    def forward(self, event: Forward) -> None:
        inner, self.inner = self.inner, False
        if not event.recorded or not self.stepped:
            return
        if not event.training and not inner:
            self.pending[event.index] = event
            fed = [self.starts[index] for index in event.fed_by if index in self.starts]
            self.starts[event.index] = next(iter(fed), event.site)
        elif self.guests.target(event.module):
            self.targets[event.index] = event
        trained = any(self.trees.trains(number, event.module) for number in self.stepped)
        self.plain.forward(event, trained)

    def backward(self, event: Backward) -> None:
        guests = [self.pending[i] for i in event.forwards if i in self.pending]
        if self.targets:
            guests += [self.targets.pop(i) for i in event.forwards if i in self.targets]
        if guests:
            self.guests.backward(event, guests)
        self._reached(event.forwards)
        self.plain.backward(event)

    def grad(self, event: GradCall) -> None:
        self.inner = not event.forwards  # in a forward, which needs its graph
        self._reached(event.forwards)
        self.plain.backward(event)

    def _reached(self, forwards: tuple[int, ...]) -> None:
        if self.pending:
            for index in forwards:
                self.pending.pop(index, None)

    def step(self, event: Step) -> None:
        self.plain.step(event)
        if event.uses:
            self.stepped.add(event.optimizer)
            for guest in self.guests.step(event):
                self._guest(guest, event)

    def idle(self, event: Idle) -> None:
        forward = self.pending.pop(event.forward, None)
        if forward is not None:
            self._unused(forward, event.nodes, event.bytes)

    def end(self, event: End) -> None:
        self.plain.end(event)
        if event.status == "done":
            for forward in self.pending.values():
                self._unused(forward, -1, -1)

    def _unused(self, forward: Forward, nodes: int, held: int) -> None:
        # models that come and go share a line; parts that feed one another are one evaluation
        site = self.starts.get(forward.index, forward.site)
        cause = site or forward.module
        if self.cases.again(cause, forward.step):
            return
        if self.roster.modules[forward.module].type == "ParametrizationList":
            return  # a parametrized weight that was merely read
        if not any(self.trees.trains(optimizer, forward.module) for optimizer in self.stepped):
            return
        evidence = [seen("backward passes that reached it", 0, "none, and no graph")]
        if nodes >= 0:
            evidence += [
                seen("nodes of the graph", nodes, 0),
                seen("bytes that it saved", held, 0),
            ]
        self.cases.open(
            cause,
            forward.step,
            site,
            "a forward in eval mode built a graph, and no backward ever ran on it",
            label="recorded for a backward that never came",
            evidence=evidence,
            help="run the evaluation inside `with torch.no_grad():`",
            event=forward.index,
        )

    def _guest(self, guest: Guest, event: Step) -> None:
        """A model in eval mode got gradients that no step uses."""
        forward = guest.forward
        cause = ("guest", forward.module, forward.site)
        if self.cases.again(cause, event.step + 1):
            return
        name = self.roster.module_name(forward.module)
        self.cases.open(
            cause,
            event.step + 1,
            forward.site,
            f"`{name}` ran {'' if forward.training else 'in eval mode '}with a graph, and no step "
            "uses the gradients it gets",
            label="recorded for gradients that nobody uses",
            because=because("this step used the others of the same backward", event.site),
            evidence=[
                seen("its tensors that got a gradient", guest.tensors, 0),
                seen("steps that left them unused", guest.times),
            ],
            help=f"run `{name}` inside `with torch.no_grad():`, or detach its output",
            event=forward.index,
        )
