"""SL303: a parameter that the optimizer holds and that no loss graph reaches."""

from steplens.model.event import Backward, Cut, End, Forward, GradCall, Line, Made, Misnamed, Step
from steplens.model.roster import Roster
from steplens.rules import frozen_tensors
from steplens.rules.base import Cases, rule
from steplens.rules.cut_offs import CutOffs
from steplens.rules.spare_tensors import SpareTensors


@rule("SL303", "parameter-out-of-graph", "warning", needs=("step", "backward"))
class ParameterOutOfGraph:
    """Parameters that an optimizer holds and that no loss graph reaches.

    ## What it does
    Reports trainable parameters that no backward has reached by the second step of their optimizer,
    although their module ran forward in train mode with gradient recording on: somewhere between
    the module and the loss its output became plain numbers. An optimizer that holds nothing but
    parameters with `requires_grad=False` is reported as well: no loss can ever reach them; and so
    are parameters that an attribute which torch does not read was meant to unfreeze
    (`model.body.requires_grad = True`); and those of an optimizer that had gradients at its first
    one or two steps only: then all that it holds was frozen, and stayed so for eight steps or more.

    ## Why is this bad?
    A step passes over tensors without a gradient and says nothing. What is behind the cut never
    learns, while the rest of the program looks as if it trained.

    ## Example
        loss = torch.tensor(-log_prob.item() * reward, requires_grad=True)
        loss.backward()

    ## Use instead
        loss = -log_prob * reward
        loss.backward()

    ## When it is fine
    Parts that did not run, and parts whose output nothing took out of the graph (a pooler, a spare
    head), are a note at the end of the run, as are parts that ran under `no_grad`, which may be
    frozen on purpose. A part that ran with recording on, and whose output went into an operation
    under `no_grad`, is a warning: there the graph is dropped. A part that another loss trains is
    reached by that loss. Cuts by `no_grad`, by `data` or by an operation without a derivative
    (`>`, `torch.argmax`) are looked for in the next forwards, once a step has shown parameters
    that no loss reaches.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.cut_offs = CutOffs(roster, cases)
        self.spare = SpareTensors(roster, cases)
        self.ran: dict[int, int] = {}  # module -> its last forward in train mode with grad on
        self.forwards = -1  # the last of these forwards
        self.begun: dict[int, int] = {}  # optimizer -> the step after which its iteration began
        self.ended: dict[int, int] = {}  # optimizer -> its last step
        self.steps: dict[int, tuple[int, int]] = {}  # optimizer -> (steps, backwards at the last)
        self.backwards = 0
        self.since = frozen_tensors.FrozenSince(roster, cases)

    def line(self, event: Line) -> None:
        self.since.line(event)

    def made(self, event: Made) -> None:
        if event.what == "optimizer":
            self.steps[event.number] = (0, self.backwards)

    def forward(self, event: Forward) -> None:
        if event.training:
            self.spare.forward(event)
        if event.grad and event.training and event.ran:
            self.forwards = event.index
            for module in event.ran:
                self.ran[module] = event.index
            for module in event.without_grad:
                self.ran.pop(module, None)

    def cut(self, event: Cut) -> None:
        self.cut_offs.cut(event)

    def backward(self, event: Backward) -> None:
        self.backwards += 1
        self._reached(event)

    def grad(self, event: GradCall) -> None:
        self._reached(event)

    def _reached(self, event: Backward | GradCall) -> None:
        self.cut_offs.reached(event)
        self.spare.reached(event.leaves)

    def step(self, event: Step) -> None:
        self.cut_offs.step(event)
        count, backwards = self.steps.get(event.optimizer, (0, 0))
        self.steps[event.optimizer] = (count + 1, self.backwards)
        if self.since.step(event):
            return
        ended = self.ended.get(event.optimizer, -1)
        if self.forwards > ended:  # else one more step on the forwards of the last
            self.begun[event.optimizer] = ended
        self.ended[event.optimizer] = event.index
        if event.skipped or not (event.frozen or event.unreached):
            if event.optimizer in self.cut_offs.found:
                self.cases.again(event.optimizer, event.step + 1)
            return
        if event.optimizer in self.cut_offs.found or self.backwards == backwards:
            self.cases.again(event.optimizer, event.step + 1)
            return
        if count and len(event.frozen) == len(self.roster.optimizers[event.optimizer].tensors):
            self.cut_offs.found[event.optimizer] = {*event.frozen}
            frozen_tensors.held_alone(self.roster, self.cases, event)
        elif event.unreached:
            self._unreached(event)

    def misnamed(self, event: Misnamed) -> None:
        if event.value:  # set to True, and unfroze nothing
            frozen_tensors.misnamed(self.roster, self.cases, event)

    def _unreached(self, event: Step) -> None:
        begun = self.begun.get(event.optimizer, -1)
        module_of = {t: self.roster.tensors[t].module for t in event.unreached}
        ran = {t for t, module in module_of.items() if self.ran.get(module, -1) > begun}
        cut = self.cut_offs.behind(ran, event.optimizer)
        whole = not event.uses and not event.unknown
        if cut is None and not ran.issuperset(self.roster.optimizers[event.optimizer].tensors):
            whole = False
        if ran and (cut or whole):
            tensors = sorted(ran.intersection(cut.leaves)) if cut and not whole else sorted(ran)
            self.cut_offs.tell(event, tensors, cut, whole, self.backwards)
        else:
            self.spare.add(event)

    def end(self, event: End) -> None:
        self.spare.end(self.cut_offs)
