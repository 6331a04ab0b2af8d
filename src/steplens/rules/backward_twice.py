"""SL211: what kept an old graph in the new loss, when the program dies of it."""

from steplens.model.event import Backward, Failure
from steplens.model.finding import Because
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen


@rule("SL211", "backward-twice", "error", needs=("failure",), claims=("backward-frees-graph",))
class BackwardTwice:
    """An error explained: `Trying to backward through the graph a second time`.

    ## What it does
    When the program dies of this error, names the earlier backward pass that went through the same
    part of the graph and freed it, and the line at which that part entered the new loss: a hidden
    state that was not detached, a running loss, a loss that is backwarded twice.

    ## Why is this bad?
    A backward pass frees what the graph saved. A tensor carried over to the next iteration with its
    graph leads the next backward into it. `retain_graph=True` silences the error and makes every
    backward longer than the one before.

    ## Example
        for x, y in batches:
            out, hidden = rnn(x, hidden)
            criterion(out, y).backward()

    ## Use instead
        for x, y in batches:
            out, hidden = rnn(x, hidden.detach())
            criterion(out, y).backward()

    ## When it is fine
    An error that the program catches is not explained. The earlier pass is looked for among the
    last 8. Where lines were not followed any more, the place is that of the forward.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.sites = Newest[int, Site | None](64)

    def backward(self, event: Backward) -> None:
        self.sites[event.index] = event.site

    def failure(self, event: Failure) -> None:
        if event.explains != "second-backward":
            return
        whole = event.how == "whole"
        at = event.site if whole else event.where or event.site
        earlier = self.sites.get(event.cause)
        marks: list[Because] = []
        if event.made != at:
            marks += because("the old part of the graph was made here", event.made)
        if earlier != at:
            marks += because("this backward went through it and freed it", earlier)
        if event.site not in (at, earlier):
            marks += because("this backward came to it again", event.site)
        fact = "the same graph was backwarded a second time"
        if not whole:
            fact = "a loss reached back into a graph that an earlier backward had freed"
        self.cases.open(
            event.explains,
            event.step + 1,
            at,
            fact,
            label="backwarded again here" if whole else "the old graph entered the new loss here",
            because=marks,
            evidence=(
                *([seen("graph nodes freed before", event.detail, 0)] if event.detail else []),
                seen("backward passes through them", 2, 1),
            ),
            help="call `backward()` once for each graph, on the sum of the losses if there are "
            "several; `retain_graph=True` on the first if two are meant"
            if whole
            else "`detach()` what is carried from one iteration to the next",
            event=event.index,
        )
