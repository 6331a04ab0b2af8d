"""Unstepped: optimizers that have not stepped, and what became of the gradients they hold."""

from steplens.model.event import Backward, Clear, GradCall, Schedule, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site

REMEMBERED = 64
IN_ITS_PLACE = "this steps another optimizer once more"
NONE = -1  # of a program without optimizers
STEP = "call `{}.step()` after `loss.backward()`, on every path of the loop"
HELD_BACK = (
    "a `GradScaler` made once, before the loop, lowers its scale until gradients are finite; if "
    "this one is, look for the NaN or infinity in the loss and the data"
)


class Suspect:
    """An optimizer that has not stepped, and what became of its gradients."""

    __slots__ = (
        "tensors",
        "first",
        "last",
        "steps",
        "backwards",
        "lost",
        "schedules",
        "backward",
        "own",
        "clear",
        "schedule",
        "stood_at",
        "unrun",
        "held_back",
        "scaler",
        "waits",
        "instead",
    )

    def __init__(self, tensors: tuple[int, ...], first: int) -> None:
        self.tensors = frozenset(tensors)
        self.first = first  # the step at which its gradients were first seen
        self.last = 0  # that of the newest backward pass that reached it
        self.steps = 0  # steps, of other optimizers, before which such passes came, and the last
        self.backwards = 0
        self.lost = 0
        self.schedules = 0
        self.backward: Site | None = None
        self.own = False  # that backward reached nothing but its tensors
        self.clear: Site | None = None
        self.schedule: Site | None = None
        self.unrun: Site | None = None
        self.held_back = 0  # steps that a GradScaler skipped, and where
        self.scaler: Site | None = None
        self.waits = False  # no optimizer has stepped since its newest backward
        self.instead: Step | None = None  # the step that came after it
        self.stood_at = 0  # the newest of its backward passes at which its tensors stood still

    def reached(self, event: Backward, weight: int) -> None:
        """A backward pass gave its parameters gradients, ``weight`` times."""
        self.backwards += weight
        if event.step + 1 != self.last:
            self.steps += weight
            self.last = event.step + 1

    def place(self, unrun: Site | None) -> tuple[Site | None, str]:
        """The line to point at, and what is said of it."""
        for site, label in (
            (self.scaler, "a `GradScaler` held each step back here"),
            (unrun, "this step has not run"),
            (self.schedule, "the schedule went on here"),
            (self.backward, "its gradients were not used"),
        ):
            if site is not None:
                return site, label
        return None, ""

    def help(self, optimizer: str) -> str:
        """What to change, for the optimizer of this variable."""
        return HELD_BACK if self.held_back else STEP.format(optimizer)


class Unstepped:
    """Follows the optimizers whose tensors get gradients and stand still.

    A backward that reaches an input (a leaf that no module and no optimizer holds) is not for
    training and counts for nothing, unless the loss is made of slopes along that input.
    """

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.suspects: dict[int, Suspect] = {}
        self.other = Newest[int, None](REMEMBERED)  # backward passes that were not for training
        self.ran: set[tuple[str, int]] = set()  # lines at which some optimizer stepped
        self.lines: dict[int, set[Site]] = {}  # the same by optimizer
        self.used: dict[tuple[int, int], tuple[int, ...]] = {}
        self.differentiated: set[int] = set()  # inputs whose slope is part of the loss

    def grad(self, event: GradCall) -> None:
        """Note the targets of an ``autograd.grad`` that may be gone through again: a loss is made
        of their slope (a differential equation, a gradient penalty)."""
        if event.create_graph and len(self.differentiated) < REMEMBERED:
            self.differentiated.update(event.leaves)

    def backward(self, event: Backward, weight: int) -> bool:
        """Count it for each suspect that it reaches; False if it was not for training."""
        for number, line in zip(event.still, event.unrun, strict=True):
            if number not in self.suspects and (number != NONE or line is not None):
                entry = self.roster.optimizers.get(number)
                tensors = entry.tensors if entry is not None else event.leaves
                self.suspects[number] = Suspect(tensors, event.step + 1)
        if self._reaches_input(event):
            self.other[event.index] = None
            return False
        for number, suspect in self.suspects.items():
            if not suspect.tensors.isdisjoint(event.leaves):
                suspect.reached(event, weight)
                suspect.waits = True
                own = suspect.tensors.issuperset(event.leaves)
                if own or not suspect.own:  # a loss of its own says more than another network's
                    suspect.backward, suspect.own = event.site, own
                if number in event.still:
                    suspect.stood_at = suspect.backwards
                    suspect.unrun = event.unrun[event.still.index(number)] or suspect.unrun
        return True

    def _reaches_input(self, event: Backward) -> bool:
        held = frozenset[int]().union(*[suspect.tensors for suspect in self.suspects.values()])
        tensors = self.roster.tensors
        return any(
            leaf not in held
            and tensors[leaf].role == "leaf"
            and leaf not in self.differentiated
            and not self._optimized(leaf)
            for leaf in event.leaves
        )

    def _optimized(self, tensor: int) -> bool:
        return any(tensor in entry.tensors for entry in self.roster.optimizers.values())

    def clear(self, event: Clear, weight: int) -> None:
        """Count a clear that threw away contributions no step has used."""
        unused = [
            share
            for share in event.lost
            if not share.holds[-1].used_by and share.holds[-1].backward not in self.other
        ]
        for suspect in self.suspects.values():
            if any(not suspect.tensors.isdisjoint(share.tensors) for share in unused):
                suspect.lost += weight
                suspect.clear = event.site

    def schedule(self, event: Schedule, weight: int) -> None:
        """A schedule went on without its optimizer."""
        suspect = self.suspects.get(event.optimizer)
        if suspect is not None and suspect.backwards:
            suspect.schedules += weight
            suspect.schedule = event.site

    def step(self, event: Step, weight: int) -> bool:
        """Note which tensors a step used; True if the optimizer was a suspect. One that a
        GradScaler skipped used none."""
        if event.skipped:
            suspect = self.suspects.get(event.optimizer)
            if suspect is not None:
                suspect.held_back += weight
                suspect.scaler = event.site
            return False
        key = (event.optimizer, sum(len(share.tensors) for share in event.uses))
        if key not in self.used and len(self.used) < REMEMBERED:
            self.used[key] = tuple(t for share in event.uses for t in share.tensors)
        if event.site is not None and len(self.ran) < REMEMBERED:
            self.ran.add((event.site.file, event.site.line))
            self.lines.setdefault(event.optimizer, set()).add(event.site)
        for suspect in self.suspects.values():
            if suspect.waits:
                suspect.waits, suspect.instead = False, event
        return self.suspects.pop(event.optimizer, None) is not None

    def in_its_place(self, suspect: Suspect) -> Site | None:
        """The line that came after its backward and stepped an optimizer that another line steps
        as well."""
        step = suspect.instead
        return step.site if step and len(self.lines.get(step.optimizer, ())) > 1 else None

    def moved_by_others(self, suspect: Suspect) -> bool:
        """Whether another optimizer has used gradients of its tensors."""
        return any(not suspect.tensors.isdisjoint(tensors) for tensors in self.used.values())
