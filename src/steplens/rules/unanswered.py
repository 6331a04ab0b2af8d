"""Unanswered: forwards of a trained model in train mode with gradient recording on, at a line none
of whose forwards a backward has ever reached."""

from collections.abc import Callable

from steplens.model.event import Backward, End, Forward, GradCall, Step
from steplens.model.site import Site
from steplens.rules.bursts import goes_on
from steplens.rules.trees import Trees

STEPS = 2  # of the model, with no such forward between: none of them waited for its output
MOST = 64  # lines followed at a time
Place = tuple[int, Site | None]


class Bout:
    """The forwards of one module at one line since steps of the model last followed on them.

    ``steps`` counts those steps, ``closed`` says that the module has trained at another line since.
    """

    __slots__ = ("first", "count", "numbers", "steps", "closed")

    def __init__(self, first: Forward) -> None:
        self.first = first
        self.count = 0
        self.numbers: set[int] = set()
        self.steps = 0
        self.closed = False


class Unanswered:
    """Tells (``tell``) of the bouts that nothing answered: two steps of the model have come since,
    with no backward into them and no other such forward; or the run has ended, which had more than
    one forward at the line."""

    def __init__(self, trees: Trees, tell: Callable[[Forward, int, bool], None]) -> None:
        self.trees = trees
        self.tell = tell
        self.bouts: dict[Place, Bout] = {}
        self.training: set[Place] = set()  # a backward has reached a forward made there
        self.told: set[Place] = set()
        self.heard = -1  # the newest Backward that is over

    def forward(self, event: Forward) -> None:
        """A forward in train mode that recorded a graph, of a model that steps train."""
        place = (event.module, event.site)
        if place in self.training or place in self.told:
            return
        bout = self.bouts.get(place)
        if bout is None or bout.steps:
            if bout is None and len(self.bouts) >= MOST:
                return
            bout = self.bouts[place] = Bout(event)
        bout.count += 1
        bout.numbers.add(event.index)

    def fed(self, event: Forward) -> None:
        """What a training forward further down in the same function may use was not evaluated. One
        that was given it is of the same bout: its backward may come."""
        for place, bout in list(self.bouts.items()):
            if not bout.numbers.isdisjoint(event.fed_by):
                bout.numbers.add(event.index)
            elif goes_on(bout.first.site, event.site):
                del self.bouts[place]
            elif place[0] == event.module and place[1] != event.site:
                bout.closed = True

    def backward(self, event: Backward | GradCall) -> None:
        """The lines whose forwards this reaches train."""
        if isinstance(event, Backward):
            self.heard = max(self.heard, event.index)
        for place, bout in list(self.bouts.items()):
            if not bout.numbers.isdisjoint(event.forwards):
                self.training.add(place)
                del self.bouts[place]

    def step(self, event: Step) -> None:
        """A step of the model, or of another one, which may have taken what was made. One inside a
        backward says nothing: the forwards that this reaches are told when it is over."""
        if any(one.backward > self.heard for share in event.uses for one in share.holds):
            return
        for place, bout in list(self.bouts.items()):
            if not self.trees.trains(event.optimizer, place[0]):
                if not bout.steps:
                    del self.bouts[place]
            elif event.uses:
                bout.steps += 1
                if bout.steps >= STEPS:
                    self._tell(place, bout, True)

    def end(self, event: End) -> None:
        """The run is over: what is left was for no training."""
        for place, bout in list(self.bouts.items()):
            if event.status == "done" and bout.count > 1 and not (bout.closed or bout.steps):
                self._tell(place, bout, False)

    def _tell(self, place: Place, bout: Bout, sure: bool) -> None:
        del self.bouts[place]
        self.told.add(place)
        self.tell(bout.first, bout.count, sure)
