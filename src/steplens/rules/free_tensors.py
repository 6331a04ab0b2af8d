"""Free tensors: leaves that no module holds and that are no ``nn.Parameter``, as SL310 tells of
them."""

from steplens.model.event import Clear, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, named, seen

TIMES = 8  # steps, with all that the tensor was given still in its gradient


class FreeTensors:
    """Tensors whose gradient grows with each step's backward, and is never cleared: who reads a
    gradient by hand clears it."""

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.steps: dict[int, int] = {}
        self.cleared: set[int] = set()

    def clear(self, event: Clear) -> None:
        """Gradients were cleared."""
        if self.steps and event.lost:
            tensors = {tensor for share in event.lost for tensor in share.tensors}
            self.cleared |= tensors & {*self.steps}

    def step(self, event: Step, left: list[int]) -> None:
        """A step that used a backward which reached these, too."""
        if not left or self.cases.again("free", event.step + 1):
            return
        for tensor in left:
            self.steps[tensor] = self.steps.get(tensor, 0) + self.cases.weight
        tensors = [t for t in left if t not in self.cleared and self.steps[t] >= TIMES]
        if not tensors:
            return
        one = len(tensors) == 1
        entry = self.roster.optimizers[event.optimizer]
        self.cases.open(
            "free",
            event.step + 1,
            entry.site,
            f"{named(self.roster, tensors)} {'requires' if one else 'require'} a gradient and "
            f"{'is' if one else 'are'} in no optimizer: what each backward adds is never used",
            label="the optimizer was made without them",
            because=because("this step used the other gradients of the same backward", event.site),
            evidence=[
                seen("tensors with a gradient, in no module and no optimizer", len(tensors)),
                seen("steps since their gradient was last cleared", TIMES),
            ],
            help="give them to the optimizer if they are to be learned; else make them without "
            "`requires_grad=True`",
            severity="note",
            event=event.index,
            tensors=tensors,
        )
