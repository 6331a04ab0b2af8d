"""Plain forwards: those of a trained model in train mode, where the mode makes no difference, that
recorded a graph for a backward that never came: a note of SL103."""

from steplens.model.event import Backward, End, Forward, GradCall, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, seen
from steplens.rules.trees import Trees
from steplens.rules.unanswered import Unanswered

TWICE = 2  # forwards at one line


class PlainForwards:
    """Where dropouts or batch norms are in train mode, SL102 tells instead."""

    def __init__(self, roster: Roster, cases: Cases, trees: Trees) -> None:
        self.roster = roster
        self.cases = cases
        self.trees = trees
        self.waiting = Unanswered(trees, self._tell)
        self.told: set[int] = set()  # the first forwards at the lines that were told, or left out

    def forward(self, event: Forward, trained: bool) -> None:
        """A forward that recorded a graph; ``trained``: a step has trained this model."""
        if self.waiting.bouts:
            self.waiting.fed(event)
        if not trained or not event.training or event.discarded or event.purpose:
            return
        if event.modes < 0 or not self.roster.modes[event.modes].awake:
            self.waiting.forward(event)

    def backward(self, event: Backward | GradCall) -> None:
        """The lines whose forwards this reaches train."""
        self.waiting.backward(event)

    def step(self, event: Step) -> None:
        """What was made before it may have waited for it."""
        if not event.skipped:
            self.waiting.step(event)

    def end(self, event: End) -> None:
        """The run is over."""
        self.waiting.end(event)

    def _tell(self, forward: Forward, count: int, sure: bool) -> None:
        cause = forward.site or forward.module
        step = max(forward.step, 1)
        if count < TWICE or self.cases.again(cause, step):
            return
        given = not self.told.isdisjoint(forward.fed_by)
        self.told.add(forward.index)
        if given:  # what it was given has been told: layers that are called one after the other
            return
        self.cases.open(
            cause,
            step,
            forward.site,
            "forwards at this line built a graph, and no backward ever ran on it",
            label="recorded for a backward that never came",
            evidence=[
                seen(f"forwards {'before the next step' if sure else 'after the last step'}", count)
            ],
            help="run the evaluation inside `with torch.no_grad():`",
            event=forward.index,
        )
