"""SL402: the graph behind the loss gets larger at every step."""

from itertools import pairwise

from steplens.model.event import Backward, Step
from steplens.model.roster import Roster
from steplens.rules.base import Cases, rule, seen

RISING = 5  # steps in a row


@rule("SL402", "graph-grows", "warning", needs=("backward", "step"))
class GraphGrows:
    """The graph behind the loss grows at every step.

    ## What it does
    Counts, at each backward, the nodes of the loss's graph that were made before the last step
    ended. Reports when there are more of them at each of five steps in a row: something, such as a
    hidden state, carries its graph from step to step.

    ## Why is this bad?
    Each backward goes through all steps since the beginning, at weights that have changed since.
    Time and memory of a step grow without end.

    ## Example
        out, hidden = model(x, hidden)
        loss_of(out, y).backward(retain_graph=True)

    ## Use instead
        out, hidden = model(x, hidden.detach())
        loss_of(out, y).backward()

    ## When it is fine
    Sequences of varying length make graphs of varying size, all of them new. A part that is
    computed once and used at every step is old but does not grow. Truncated backpropagation over a
    window grows until the window is full: the finding is taken back when it stops.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.latest: Backward | None = None
        self.old: dict[int, list[int]] = {}
        self.quiet: dict[object, int] = {}

    def backward(self, event: Backward) -> None:
        self.latest = event

    def step(self, event: Step) -> None:
        latest, self.latest = self.latest, None
        if latest is None:
            return
        counts = self.old.setdefault(event.optimizer, [])
        counts.append(latest.old_nodes)
        del counts[: -RISING - 1]
        known = (event.optimizer, latest.site)
        grew = len(counts) > 1 and counts[-1] > counts[-2]
        if known in self.quiet:
            self._follow(known, event, grew)
        elif len(counts) > RISING and all(one < two for one, two in pairwise(counts)):
            self._open(known, latest, counts)

    def _follow(self, known: object, event: Step, grew: bool) -> None:
        if grew:
            self.quiet[known] = 0
            self.cases.again(known, event.step + 1)
            return
        self.quiet[known] += 1
        if self.quiet[known] == RISING:
            self.cases.withdraw(known)

    def _open(self, known: object, latest: Backward, counts: list[int]) -> None:
        self.quiet[known] = 0
        self.cases.open(
            known,
            latest.step + 1,
            latest.site,
            f"the loss's graph reached {counts[-1]} nodes of earlier steps, more at each of "
            f"{RISING} steps in a row",
            label="this backward goes through earlier steps too",
            evidence=(
                seen("nodes of earlier steps", ", ".join(map(str, counts)), "0"),
                seen("nodes of the whole graph", latest.nodes),
            ),
            help="detach what is carried from step to step: `hidden = hidden.detach()`",
            event=latest.index,
        )
