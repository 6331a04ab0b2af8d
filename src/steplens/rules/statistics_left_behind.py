"""SL107: a model asked in eval mode with the statistics of new norms, or of another model; or an
average that nothing went into."""

from steplens.model.event import Behind
from steplens.model.roster import Roster
from steplens.rules.base import Cases, because, rule, seen


@rule("SL107", "statistics-left-behind", "warning", needs=("forward",))
class StatisticsLeftBehind:
    """A model asked in eval mode whose norms have trained weights and the statistics of new ones.

    ## What it does
    Reports a forward in eval mode of a model that no optimizer holds, when the running statistics
    of all its norms are as a norm is made (mean 0, variance 1, no batch counted) while their biases
    are not. Reports, at the end of the run, a `swa_utils.AveragedModel` of equal weights that was
    asked in eval mode when nothing, no `update_bn` either, had written its norms' statistics since
    its last `update_parameters`, which copies those of the model it is given; and one that is asked
    though nothing has ever gone into it: to the end of the run its weights are those that it was
    made with, 16 steps or more before, while the model it was made of was trained.

    ## Why is this bad?
    An average of weights, or a target network, that is brought up to date by a loop over
    `parameters()` gets no buffers: in eval mode its batch norms normalise by a mean of 0 and a
    variance of 1, which its weights have never met. Its scores are far worse than the model's. The
    statistics of the last model are not those of the average either.

    ## Example
        for e, p in zip(ema.parameters(), model.parameters()):
            e.lerp_(p, 0.01)

    ## Use instead
        for e, p in zip(ema.parameters(), model.parameters()):
            e.lerp_(p, 0.01)
        for e, b in zip(ema.buffers(), model.buffers()):
            e.copy_(b)

    ## When it is fine
    Models whose norms have seen a batch in train mode, had their buffers copied, or were run
    through `update_bn`; untrained models; models that an optimizer trains with norms in eval mode.
    Moving averages (`avg_fn`, `multi_avg_fn`), averages with `use_buffers=True`, and those of
    models whose statistics are frozen. An average that is asked before its time and fed later; or
    written to by the program's own code. Where code that ran names `update_parameters` (the run
    may have ended before the average begins), it is a note.
    """

    def __init__(self, roster: Roster, cases: Cases) -> None:
        self.roster = roster
        self.cases = cases

    def behind(self, event: Behind) -> None:
        at = event.site if event.unfed else event.written or event.site
        if self.cases.again(at, event.step):
            return
        name = self.roster.module_name(event.module)
        if event.unfed:
            self._unfed(event, name)
            return
        if event.averaged:
            self._averaged(event, name)
            return
        self.cases.open(
            at,
            max(event.step, 1),
            at,
            f"`{name}` was asked in eval mode with trained weights and norms whose running "
            "statistics are those of new ones: nothing brings it the buffers",
            label="writes parameters, and no buffers" if event.written else "asked here",
            because=because("asked here", event.site if event.written else None),
            evidence=(
                seen("norms with mean 0 and variance 1", f"{event.count} of {event.count}"),
                seen(
                    "of these, with trained weights",
                    len(event.norms),
                    "0",
                ),
            ),
            help="copy the buffers as well (`e.copy_(b)` over `zip(ema.buffers(), "
            "model.buffers())`), or run `update_bn(loader, ema)` before it is asked",
            event=event.index,
        )

    def _averaged(self, event: Behind, name: str) -> None:
        at = event.written or event.site
        self.cases.open(
            at,
            max(event.step, 1),
            at,
            f"`{name}` was asked in eval mode with the average weights of {event.averaged} models "
            "and the running statistics of the last one: `update_bn` was not run",
            label="copies the statistics of the model it is given",
            because=because("asked here", event.site if event.site != at else None),
            evidence=(
                seen("norms whose statistics nothing has written since", event.count, 0),
                seen("models in the average", event.averaged),
            ),
            help="run `torch.optim.swa_utils.update_bn(loader, average)` before it is asked",
            event=event.index,
        )

    def _unfed(self, event: Behind, name: str) -> None:
        self.cases.open(
            event.site,
            max(event.step, 1),
            event.site,
            f"`{name}` was asked {event.count} steps after it was made and holds the weights that "
            "it was made with: nothing has gone into the average",
            label="asked here",
            because=because("made here", event.written),
            evidence=(
                seen("steps of the program since it was made", event.count),
                seen("models in the average", 0, "at least 1"),
            ),
            help="call `average.update_parameters(model)` after the optimizer's step",
            severity="note" if event.named else None,
            event=event.index,
        )
