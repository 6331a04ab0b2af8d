"""SL310: a trainable tensor that no module has registered and no optimizer holds."""

from steplens.model.event import Backward, Clear, Forward, Load, Step
from steplens.model.roster import ModuleEntry, Roster
from steplens.model.site import Site
from steplens.rules.anew import Anew, tell
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.free_tensors import FreeTensors
from steplens.rules.left_out import Outside


@rule("SL310", "unregistered-parameter", "error", needs=("backward",))
class UnregisteredParameter:
    """Trainable tensors that a model uses and has not registered.

    ## What it does
    Reports leaves of the loss graph that require a gradient, are in no optimizer, and that no
    module of the model holds as a parameter: layers in a plain list or dict that run inside
    the model's forward, tensors with `requires_grad=True` in a plain attribute of a module, and
    free `nn.Parameter` objects. Two steps must have used the same backward, and the values must not
    have been written by hand. Reports a line, too, that makes a layer anew within each forward
    (a note for a norm, whose parameters begin as ones and zeros).

    ## Why is this bad?
    `model.parameters()` does not see them, so the optimizer was made without them. They stay at
    their random start, are in no `state_dict`, and move to no device.

    ## Example
        self.layers = [nn.Linear(8, 8) for _ in range(3)]
        self.scale = torch.ones(1, requires_grad=True)

    ## Use instead
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.scale = nn.Parameter(torch.ones(1))

    ## When it is fine
    Inputs that require a gradient, targets of `autograd.grad`, tensors that the program's own code
    updates or that an optimizer holds, and networks whose weights were loaded (a perceptual loss
    hidden in a list) are not reported. Free tensors that are no `nn.Parameter` are let be, as their
    gradients may be read by hand; a note where such a gradient grows over eight steps, uncleared.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.outside = Outside(roster)
        self.found: set[int] = set()
        self.anew = Anew(roster, self.outside.hosts)
        self.free = FreeTensors(roster, cases)

    def forward(self, event: Forward) -> None:
        self.outside.forward(event)

    def load(self, event: Load) -> None:
        self.outside.load(event)

    def clear(self, event: Clear) -> None:
        self.free.clear(event)

    def backward(self, event: Backward) -> None:
        self.outside.backward(event)
        if self.outside.hosts:
            for line, layer, tensors in self.anew.backward(event):
                tell(self.cases, event, line, layer, self._outer(layer), tensors)
        if self.found:
            strays = set(event.strays)
            if any(tensor in self.found and tensor not in strays for tensor in event.leaves):
                self.found.clear()
                self.cases.withdraw("unregistered")

    def step(self, event: Step) -> None:
        if event.skipped or self.outside.step(event, self.cases.weight) < 2:
            return
        left = self.outside.of(event)
        if not left or self.cases.again("unregistered", event.step + 1):
            return
        how = {tensor: self._how(tensor) for tensor in left}
        free = [t for t in left if not how[t] and self.roster.tensors[t].holder == -1]
        self.free.step(event, free)
        tensors = [tensor for tensor, words in how.items() if words]
        if tensors:
            self.found = {*tensors}
            self._open(event, tensors, how[tensors[0]])

    def _outer(self, layer: ModuleEntry) -> str:
        """The model in whose forward a layer ran."""
        return self.roster.module_name(self.outside.hosts[layer.number])

    def _how(self, tensor: int) -> str:
        """In what way the tensor is unregistered, '' when it is not or nothing can be said."""
        entry = self.roster.tensors[tensor]
        if entry.role == "parameter":
            host = self.outside.hosts.get(entry.root)
            if host is None or self.outside.is_loaded(tensor):
                return ""
            kind, outer = self.roster.modules[entry.root].type, self.roster.module_name(host)
            return f"`{kind}` runs inside `{outer}`, and is no part of it"
        if entry.role != "leaf":
            return ""
        if entry.holder >= 0:
            owner = self.roster.module_name(entry.holder)
            if entry.derived:
                return f"`{owner}` holds what was computed from it, not the leaf itself"
            return f"a plain attribute of `{owner}`, neither parameter nor buffer"
        return "an `nn.Parameter` of no module" if entry.declared else ""

    def _open(self, event: Step, tensors: list[int], how: str) -> None:
        entry = self.roster.optimizers[event.optimizer]
        names = named(self.roster, tensors)
        self.cases.open(
            "unregistered",
            event.step + 1,
            self._site(tensors[0]) or entry.site,
            f"{names} {'gets' if len(tensors) == 1 else 'get'} gradients, and no module has "
            f"registered {'it' if len(tensors) == 1 else 'them'}: no optimizer updates "
            f"{'it' if len(tensors) == 1 else 'them'}",
            label="made here",
            because=(
                *because("the optimizer was made without them", entry.site),
                *because("this step used the other gradients of the same backward", event.site),
            ),
            evidence=[
                seen("tensors with a gradient, unregistered, in no optimizer", len(tensors), 0),
                seen(f"`{self.roster.name(tensors[0])}`", how),
            ],
            help="register them: layers in an `nn.ModuleList` or `nn.ModuleDict`, tensors as "
            "`nn.Parameter` attributes, before the optimizer is made",
            event=event.index,
            tensors=tensors,
        )

    def _site(self, tensor: int) -> Site | None:
        entry = self.roster.tensors[tensor]
        if entry.role == "parameter":
            return self.roster.modules[entry.root].site or entry.site
        return entry.set_at
