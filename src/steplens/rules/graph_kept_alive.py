"""SL401: graphs of earlier iterations are kept alive."""

from itertools import pairwise

from steplens.model.event import Kept
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen

MANY = 16  # graphs in a list, which may have a bound of its own
TWICE = 2  # times that a shorter one has grown: it is begun anew each epoch
KINDS = {
    "sum": "a sum of tensors that still carry their graphs",
    "state": "a state that one forward hands to the next",
    "list": "a list",
    "dict": "a dictionary",
    "": "something",
}
HELP = {"state": "detach the state now and then, or run forwards without a backward in `no_grad`"}


@rule("SL401", "graph-kept-alive", "warning", needs=("backward",))
class GraphKeptAlive:
    """Graphs of earlier iterations kept alive, one more at each step.

    ## What it does
    Marks the autograd graph of each backward, and at the first 64 steps of each forward in train
    mode, and sees from the marks which graphs are still alive steps later. Reports when one more
    stays alive with every step, or round of several optimizers' steps: at 4 graphs for a tensor
    whose own graph has grown over them (`total += loss`), at 16 for a list or a dictionary. A
    shorter one that is let go and grows again, as in each of several short epochs, gets a note.

    ## Why is this bad?
    A graph holds its nodes, and all tensors that were saved for it and not freed. Memory grows
    until the run dies, and each step's clean-up gets slower. Nothing fails before that.

    ## Example
        total += loss
        outputs.append(model(x))

    ## Use instead
        total += loss.item()
        outputs.append(model(x).detach())

    ## When it is fine
    Losses that are summed and backwarded later, accumulation windows, a `deque` with a `maxlen` and
    short lists are not reported. A longer list with a bound of its own looks the same as one
    without: suppress the finding there. Graphs of an evaluation on which no
    backward ran are SL103's.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.cases = cases
        self.short: dict[object, int] = {}  # lists that have grown but little, and how often

    def kept(self, event: Kept) -> None:
        if event.form == "deque":
            return
        at = event.where or event.made
        made = event.made or at
        cause = (event.form, made and (made.file, made.line))
        evidence = [
            seen(
                f"graphs alive at the steps up to {event.step + 1}",
                ", ".join(map(str, event.counts)),
                "0",
            ),
            seen("graph nodes held", event.nodes),
        ]
        short = event.form != "sum" and event.graphs < MANY
        if short:
            self.short[cause] = self.short.get(cause, 0) + 1
            if self.short[cause] < TWICE:
                return
            evidence.append(seen("times that it has grown so", self.short[cause]))
        elif self.short.pop(cause, 0) >= TWICE:
            self.cases.withdraw(cause)  # it was a note
        if cause in self.cases.findings:  # told at some sizes only, so that nothing is counted
            self.cases.amend(cause, evidence=tuple(evidence), last_step=event.step + 1)
            return
        name = f" (`{event.name}`)" if event.name else ""
        what = KINDS[event.form] + name
        self.cases.open(
            cause,
            event.step + 1,
            at,
            f"the graphs of {event.graphs} earlier steps are still alive, {_growth(event)}: "
            f"{what} holds them",
            label="kept here" if event.where else "these graphs were made here",
            because=(
                *because("given to it here", event.caller),
                *because(
                    "the graphs were made here",
                    event.made if event.where and event.made != event.where else None,
                ),
            ),
            evidence=evidence,
            help=HELP.get(
                event.form, "keep `loss.item()` or `tensor.detach()`, not the tensor with its graph"
            ),
            severity="note" if short else None,
            event=event.index,
        )


def _growth(event: Kept) -> str:
    """How their number has grown: of several optimizers' steps some may leave none behind."""
    each = all(new > old for old, new in pairwise(event.counts))
    return "one more with each step" if each else "more from round to round"
