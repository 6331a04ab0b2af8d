"""Left out: what the rules on parameters outside of optimizers share."""

from collections.abc import Iterable

from steplens.model.event import Backward, Forward, Load, Step
from steplens.model.newest import Newest
from steplens.model.roster import Roster

KEPT = 64  # backward passes remembered
ROW = 3  # steps in a row with nothing to use, while backward passes reach what is left out only


class Outside:
    """The parameters that get gradients and that no optimizer holds, by the step that used the same
    backward."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.strays = Newest[int, tuple[int, ...]](KEPT)
        self.steps: dict[int, int] = {}  # optimizer -> steps
        self.latest: dict[int, int] = {}  # optimizer -> its newest step
        self.before: dict[int, int] = {}  # optimizer -> the step before that
        self.reached = -1  # the newest backward that reached what an optimizer holds, or is unsure
        self.rows: dict[int, int] = {}  # optimizer -> see `instead`
        self.loaded: set[int] = set()  # modules whose parameters were loaded
        self.hosts: dict[int, int] = {}  # outermost module -> the one in whose forward it ran
        self.training: dict[int, bool] = {}  # outermost module -> its mode at its last forward

    def backward(self, event: Backward) -> None:
        if event.strays:
            self.strays[event.index] = event.strays
        if not event.strays or not {*event.leaves} <= {*event.strays}:
            self.reached = event.index

    def load(self, event: Load) -> None:
        if event.what == "module":
            self.loaded.add(event.owner)

    def forward(self, event: Forward) -> None:
        modules = self.roster.modules
        host = modules[event.module].root
        if event.grad:
            self.training[host] = event.training
        for number in event.ran or ():
            root = modules[number].root
            if root != host and root not in self.hosts:
                self.hosts[root] = event.module

    def step(self, event: Step, weight: int) -> int:
        """Count a step; which of its optimizer it is."""
        count = self.steps[event.optimizer] = self.steps.get(event.optimizer, 0) + weight
        self.before[event.optimizer] = self.latest.get(event.optimizer, -1)
        self.latest[event.optimizer] = event.index
        return count

    def of(self, event: Step) -> dict[int, int]:
        """The tensors left out of the backward passes that this step used, with one of these."""
        found: dict[int, int] = {}
        if self.strays:
            for share in event.uses:
                for contribution in share.holds:
                    for tensor in self.strays.get(contribution.backward, ()):
                        found[tensor] = contribution.backward
        return found

    def instead(self, event: Step) -> dict[int, int]:
        """The tensors left out, with a backward of each, that all backward passes since the
        optimizer's last step have reached, and nothing else, at several steps in a row with nothing
        to use: the optimizer was made for another model."""
        number, since = event.optimizer, self.before.get(event.optimizer, -1)
        newer = {index: strays for index, strays in self.strays.items() if index > since}
        held = self.roster.optimizers[number].tensors
        bare = not event.uses and not event.moved and len(event.idle) == len(held)
        if not bare or not newer or self.reached > since or since < 0:
            self.rows[number] = 0
            return {}
        self.rows[number] = self.rows.get(number, 0) + 1
        if self.rows[number] < ROW:
            return {}
        return {tensor: index for index, strays in newer.items() for tensor in strays}

    def recent(self) -> set[int]:
        """All tensors left out of the remembered backward passes."""
        return {tensor for strays in self.strays.values() for tensor in strays}

    def is_loaded(self, tensor: int) -> bool:
        """Whether the tensor's values were loaded: pretrained, or restored."""
        module = self.roster.tensors[tensor].module
        while module >= 0:
            if module in self.loaded or self.roster.modules[module].loaded:
                return True
            module = self.roster.modules[module].parent
        return False


def strangers(roster: Roster, idle: Iterable[int], strays: Iterable[int]) -> dict[int, int]:
    """Which tensor left out stands, by name, where one that an optimizer holds in vain stood.

    Either the module was given another parameter under the name, or the model was made anew: then
    all that the optimizer holds of the old one must be idle, and be found in the new one, by name
    and shape.
    """
    tensors = roster.tensors
    held: dict[str, list[int]] = {}
    for number in idle:
        held.setdefault(tensors[number].name, []).append(number)
    pairs: dict[int, int] = {}
    for stray in strays:
        entry = tensors[stray]
        for old in held.get(entry.name, ()):
            if entry.role != "parameter" or entry.root < 0 or old == stray:
                continue
            if tensors[old].root == entry.root or _made_anew(
                roster, tensors[old].root, entry.root, held
            ):
                pairs[stray] = old
    return pairs or _copies(roster, list(idle), strays)


def _copies(roster: Roster, idle: list[int], strays: Iterable[int]) -> dict[int, int]:
    """Tensors of no module that an optimizer holds, all of it, shaped one for one as the parameters
    of a model that are left out: both were copied, each for itself."""
    tensors = roster.tensors
    held = [entry.tensors for entry in roster.optimizers.values() if {*entry.tensors} == {*idle}]
    if not held or len(idle) < 2 or any(tensors[number].module >= 0 for number in idle):
        return {}
    models: dict[int, list[int]] = {}
    for stray in sorted(strays):
        if tensors[stray].role == "parameter":
            models.setdefault(tensors[stray].root, []).append(stray)
    for root, new in models.items():
        shapes = [tensors[number].shape for number in new]
        if root >= 0 and shapes == [tensors[number].shape for number in held[0]]:
            return dict(zip(new, held[0], strict=True))
    return {}


def _made_anew(roster: Roster, old: int, new: int, held: dict[str, list[int]]) -> bool:
    if old < 0 or roster.modules[old].type != roster.modules[new].type:
        return False
    tensors = roster.tensors.values()
    now = {entry.name: entry.shape for entry in tensors if entry.root == new}
    idle = {number for numbers in held.values() for number in numbers}
    return all(
        now.get(entry.name) == entry.shape and entry.number in idle
        for entry in tensors
        if entry.root == old and entry.role == "parameter"
    )
