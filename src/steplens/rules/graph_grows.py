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
    hidden state, carries its graph from step to step. Notes five backward passes between two steps,
    or in a program that steps by hand, of which each goes through the nodes of the one before again
    and through those of a forward made since.

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
    window grows until the window is full: the finding is taken back when it stops. A backward for
    each part of a sequence, through all parts before it, may be meant, at a cost that grows with
    the square of the length: hence a note. Several losses on one forward are not reported.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.latest: Backward | None = None
        self.old: dict[int, list[int]] = {}
        self.quiet: dict[object, int] = {}
        self.before: Backward | None = None
        self.again: list[int] = []  # nodes gone through again, by backward passes in a row

    def backward(self, event: Backward) -> None:
        self.latest = event
        before, self.before = self.before, event
        grew = (
            before is not None
            and event.again > before.again
            and any(forward > before.index for forward in event.forwards)
        )
        self.again = [*self.again[-RISING:], event.again] if grew else []
        if len(self.again) >= RISING and not self.cases.again(
            (event.site, "again"), event.step + 1
        ):
            self._note(event)

    def _note(self, event: Backward) -> None:
        self.cases.open(
            (event.site, "again"),
            event.step + 1,
            event.site,
            f"each of {RISING} backward passes in a row went through the graph of the one before "
            "again, and through a new forward",
            label="this backward goes through earlier ones' graphs too",
            evidence=(
                seen("nodes gone through again", ", ".join(map(str, self.again)), "0"),
                seen("nodes of the whole graph", event.nodes),
            ),
            help="detach what is carried from part to part: `hidden = hidden.detach()`",
            severity="note",
            event=event.index,
        )

    def step(self, event: Step) -> None:
        latest, self.latest = self.latest, None
        self.before, self.again = None, []
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
        self.quiet[known] += self.cases.weight
        if self.quiet[known] >= RISING:
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
