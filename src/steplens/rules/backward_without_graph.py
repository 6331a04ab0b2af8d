"""SL210: why a loss has no graph, when the program dies of it."""

from collections import deque

from steplens.model.event import Cut, Failure, Forward, GradMode
from steplens.model.finding import Because
from steplens.model.newest import Newest
from steplens.model.roster import Roster
from steplens.model.site import Site
from steplens.rules.base import Cases, because, rule, seen

FACTS = {
    "no-grad": "the loss has no graph: its forward ran with gradient recording off",
    "frozen": "the loss has no graph: nothing in its forward requires a gradient",
    "cut": "the loss has no graph: it was cut after the forward",
    "": "the loss has no graph: nothing that made it carried one",
}
HELP = {
    "no-grad": "run the forward and the loss outside of `no_grad`, or with gradients set enabled",
    "frozen": "leave `requires_grad` on for the parameters that are to be trained",
    "cut": "make the loss of the model's own output, with operations that have a derivative",
    "": "make the loss of the output of a forward that has a graph",
}


@rule("SL210", "backward-without-graph", "error", needs=("failure",), claims=("no-grad-no-graph",))
class BackwardWithoutGraph:
    """An error explained: `element 0 of tensors does not require grad`.

    ## What it does
    When the program dies of this error, says where the forward ran without recording (a `no_grad`
    block, a decorated function, a switch left off), or which call took the values out of the graph
    (`detach`, `item`, `data`, `numpy`, `argmax`, a cast to integers, a new `torch.tensor`), or that
    nothing in the model requires a gradient.

    ## Why is this bad?
    The loss is a number without a history. There is nothing to go backward through, and the error
    names neither the forward nor the call that lost it.

    ## Example
        prediction = model(x).argmax(1).float()
        F.mse_loss(prediction, y).backward()

    ## Use instead
        F.cross_entropy(model(x), y).backward()

    ## When it is fine
    An error that the program catches is not explained. Which call cut the graph is read from the
    source between the forward and the backward of one function, or heard where calls are followed;
    where neither says it, the finding stands at the backward.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases
        self.off: list[GradMode] = []  # switches to off that have not been undone
        self.inside: GradMode | None = None  # the newest since the last forward
        self.forwards = Newest[int, tuple[Site | None, Site | None]](64)  # its line, the switch's
        self.left_off = -2  # newest forward with recording left off by an earlier switch
        self.cuts: deque[Cut] = deque(maxlen=64)

    def grad_mode(self, event: GradMode) -> None:
        if event.form == "exit":
            del self.off[-1:]
        elif event.enabled:
            self.off.clear()
        else:
            self.off.append(event)
            del self.off[:-32]
            self.inside = event

    def forward(self, event: Forward) -> None:
        switch = None
        if not event.recorded:
            found = self.off[-1] if self.off else self.inside if event.grad else None
            switch = found.site if found is not None else None
        self.inside = None
        if event.off_since >= 0:
            self.left_off = event.index
        self.forwards[event.index] = (event.site, switch)

    def cut(self, event: Cut) -> None:
        self.cuts.append(event)

    def failure(self, event: Failure) -> None:
        if event.explains != "no-graph" or event.cause == self.left_off:
            return  # where a switch was never undone, SL106 tells
        site, switch = self.forwards.get(event.cause, (None, None))
        at, how, label, detail = event.where, event.how, "", event.detail
        if how == "no-grad":
            at = event.where or switch
            label = "gradient recording is off from here"
        elif how != "frozen":
            heard = [cut for cut in self.cuts if cut.index > event.cause]
            if at is None and heard:
                at, detail, how = heard[-1].site, heard[-1].how, "cut"
            if at is None and self.off:
                at, how, label = self.off[-1].site, "no-grad", "gradient recording is off from here"
            label = label or f"{detail or 'this'} ends the graph"
        elif how == "frozen":
            at, label = site, "its parameters do not require gradients"
        self._open(event, at, how if at is not None else "", label, site)

    def _open(
        self, event: Failure, at: Site | None, how: str, label: str, forward: Site | None
    ) -> None:
        marks: list[Because] = []
        if forward is not None and forward != at:
            marks += because("the forward ran here", forward)
        if at is not None and event.site != at:
            marks += because("this backward found no graph", event.site)
        self.cases.open(
            event.explains,
            event.step + 1,
            at or event.site,
            FACTS[how],
            label=label if at is not None else "this backward found no graph",
            because=marks,
            evidence=(seen("`requires_grad` of the loss", False, True),),
            help=HELP[how],
            event=event.index,
        )
