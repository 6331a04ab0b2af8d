"""SL301: a trainable parameter that gets gradients and belongs to no optimizer."""

from steplens.model.event import Backward, Forward, Load, Made, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, rule, seen
from steplens.rules.left_out import Outside, strangers


@rule("SL301", "parameter-not-in-optimizer", "warning", needs=("step",))
class ParameterNotInOptimizer:
    """Trainable parameters that get gradients at every step and belong to no optimizer.

    ## What it does
    Reports parameters of a module that a backward reached, whose other gradients a step used, while
    no optimizer made so far holds them and nobody wrote to them by hand. Two steps must have gone
    by. So, too, those that all backward passes reach, and nothing else, while an optimizer steps
    with no gradient to use; and parameters that were frozen, require gradients again, and are held
    by no optimizer that has stepped since: one made while they were frozen leaves them out.

    ## Why is this bad?
    Gradients are computed for them and thrown away: they stay at their random start. The rest of
    the model adapts to that, so the loss falls, only less far than it could.

    ## Example
        optimizer = torch.optim.Adam(model.encoder.parameters())
        criterion(model.head(model.encoder(x)), y).backward()

    ## Use instead
        optimizer = torch.optim.Adam(model.parameters())

    ## When it is fine
    Parameters that the program's own code updates, an optimizer made later, a second phase that
    trains another part, and the optimisation of inputs (style transfer, prompts) are not reported.
    Parameters whose values were loaded, or copied by hand (word vectors), kernels written down by
    hand (a weight whose values repeat, as in a Sobel filter or a box blur) and models in eval mode
    may be frozen by leaving them out: for these it is a note, and `requires_grad_(False)` would
    save their gradients. Sharded and wrapped parameters are not looked at.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.outside = Outside(roster)
        self.idle: dict[int, tuple[int, ...]] = {}
        self.found: dict[int, frozenset[int]] = {}  # optimizer -> tensors of its finding

    def forward(self, event: Forward) -> None:
        self.outside.forward(event)

    def load(self, event: Load) -> None:
        self.outside.load(event)

    def backward(self, event: Backward) -> None:
        self.outside.backward(event)
        if self.found:
            strays = set(event.strays)
            self._spare({tensor for tensor in event.leaves if tensor not in strays})

    def made(self, event: Made) -> None:
        if self.found and event.what == "optimizer":
            self._spare({*self.roster.optimizers[event.number].tensors})

    def _spare(self, tensors: set[int]) -> None:
        """These are updated after all: by hand, or by an optimizer made later."""
        for optimizer, found in list(self.found.items()):
            if found & tensors:
                self.found.pop(optimizer)
                self.cases.withdraw(optimizer)

    def step(self, event: Step) -> None:
        if self.found:
            self._spare({tensor for share in event.uses for tensor in share.tensors})
        if event.skipped or self.outside.step(event, self.cases.weight) < 2:
            return
        left = self.outside.of(event) or self.outside.instead(event)
        if not left:
            return
        if event.optimizer in self.found:
            self.cases.again(event.optimizer, event.step + 1)
            return
        told = {tensor for found in self.found.values() for tensor in found}
        tensors = [tensor for tensor in left if tensor not in told and self._counts(tensor)]
        held = self.roster.optimizers[event.optimizer].tensors
        if not tensors or all(self.roster.tensors[t].role == "leaf" for t in held):
            return
        known = strangers(self.roster, event.idle, tensors)  # SL302 tells of these
        tensors = [tensor for tensor in tensors if tensor not in known]
        if tensors:
            self._open(event, tensors)

    def _counts(self, tensor: int) -> bool:
        entry = self.roster.tensors[tensor]
        return (
            entry.role == "parameter" and entry.root >= 0 and entry.root not in self.outside.hosts
        )

    def _meant(self, tensor: int) -> bool:
        """Whether the tensor may be left out on purpose, to stay as it is."""
        entry = self.roster.tensors[tensor]
        beside = self.roster.modules[entry.module].tensors if entry.module >= 0 else ()
        return (
            self.outside.is_loaded(tensor)
            or entry.brought
            or not self.outside.training.get(entry.root, True)
            or any(self.roster.tensors[number].patterned for number in (tensor, *beside))
        )

    def _open(self, event: Step, tensors: list[int]) -> None:
        self.found[event.optimizer] = frozenset(tensors)
        names = named(self.roster, tensors)
        one = len(tensors) == 1
        entry = self.roster.optimizers[event.optimizer]
        thawed = all(self.roster.tensors[tensor].thawed for tensor in tensors)
        meant = not thawed and all(self._meant(tensor) for tensor in tensors)
        count = len(self.roster.optimizers)
        self.cases.open(
            event.optimizer,
            event.step + 1,
            entry.site,
            f"{names} {'was' if one else 'were'} frozen, {'gets' if one else 'get'} gradients now, "
            f"and {'belongs' if one else 'belong'} to no optimizer that steps"
            if thawed
            else f"{names} {'gets' if one else 'get'} gradients at every step and "
            f"{'belongs' if one else 'belong'} to no optimizer",
            label=f"made with {len(entry.tensors)} tensors, without these",
            because=because(
                "this step used the other gradients of the same backward"
                if event.uses
                else "this step had no gradient to use",
                event.site,
            ),
            evidence=[
                seen("tensors with a gradient and in no optimizer", len(tensors), 0),
                seen("optimizers made so far", count),
                seen("their values after 2 backward passes", "bit for bit those at the first"),
            ],
            help="pass them to the optimizer when you unfreeze them (`add_param_group`), or make "
            "it with them and freeze them by `requires_grad_(False)`"
            if thawed
            else "pass them to the optimizer, or set `requires_grad_(False)` if they are meant to "
            "stay as they are",
            severity="note" if meant else None,
            event=event.index,
            tensors=tensors,
        )
