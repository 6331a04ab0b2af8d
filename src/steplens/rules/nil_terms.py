"""Nil terms: parts of a loss whose two sides are the same to the last bit at every look, as SL214
tells of them."""

from typing import NamedTuple

from steplens.model.event import Backward, Values
from steplens.model.graph import GraphReading
from steplens.model.newest import Newest
from steplens.model.site import Site
from steplens.rules.base import Cases, because, seen
from steplens.rules.chains import stem

NIL = "nil "  # stands before the name of such a loss that has no graph
NAMES = {"MseLoss": "mse_loss", "SmoothL1Loss": "smooth_l1_loss", "HuberLoss": "huber_loss"}
NEAR = 160  # ops in which the recorder compares the two sides
LOOKS, STEPS = 4, 3  # looks, and steps seen to move the model between the first and the last
MOVED = 1e-5  # of a weight's size, in one step: more than rounding hides
KEPT = 64  # terms followed
HELP = (
    "compare it with another model or another view: a copy that stands still is made by "
    "`copy.deepcopy(model)`"
)


class Key(NamedTuple):
    """A loss in a graph: the line that goes backward, and which of how many it is."""

    site: Site | None
    place: int
    losses: int


class Looks:
    """How often its two sides were found to be one, and when."""

    __slots__ = ("count", "first", "last", "at", "nil", "name")

    def __init__(self, first: Backward, name: str) -> None:
        self.count = 0
        self.first = self.last = first
        self.name = name
        self.at: Site | None = None
        self.nil = True


class NilTerms:
    """Follows the losses near the end of each graph from the first look on."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases
        self.terms = Newest[Key, Looks](KEPT)
        self.moved: list[int] = []  # the first steps that were seen to move the model

    def values(self, event: Values) -> None:
        """What a step did has been read."""
        moves = event.full and event.ratio is not None and event.ratio > MOVED
        if not moves or len(self.moved) >= KEPT:
            return
        self.moved.append(event.step)
        for key, looks in list(self.terms.items()):
            if key not in self.cases.findings:
                self._decide(key, looks)

    def backward(self, event: Backward, reading: GraphReading) -> None:
        """Look at the losses of one graph; one that is the whole of it is told of by SL607."""
        losses = [place for place, op in enumerate(reading.ops[:NEAR]) if stem(op) in NAMES]
        for count, place in enumerate(losses):
            key, op = Key(event.site, count, len(losses)), reading.ops[place]
            looks = self.terms.get(key)
            if looks is None:
                looks = self.terms[key] = Looks(event, NAMES[stem(op)])
            looks.at = looks.at or op.site
            if place not in reading.nil or place == 0:
                looks.nil = False
                self.cases.withdraw(key)
            if looks.nil:
                looks.count, looks.last = looks.count + 1, event
                self._decide(key, looks)

    def _decide(self, key: Key, looks: Looks) -> None:
        if looks.nil and looks.count >= LOOKS:
            between = [s for s in self.moved if looks.first.step < s <= looks.last.step]
            if len(between) >= STEPS:
                self._open(looks.last, key, looks)

    def _open(self, event: Backward, key: Key, looks: Looks) -> None:
        if self.cases.again(key, event.step + 1):
            return
        at = looks.at or event.site
        self.cases.open(
            key,
            event.step + 1,
            at,
            f"the two sides of this `{looks.name}` are the same to the last bit at every look: it "
            "adds 0 to the loss and to the gradients",
            label="compares something with itself",
            because=because(
                "this backward went through it", event.site if at != event.site else None
            ),
            evidence=(
                seen("looks at it, with steps of the model between", looks.count),
                seen("largest difference", 0.0, "above 0"),
            ),
            help=HELP,
            event=event.index,
        )
